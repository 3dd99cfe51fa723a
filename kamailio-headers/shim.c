/* See shim.h. */

#define MOD_NAME "secsipid"

#include "core/data_lump.h"
#include "core/dprint.h"
#include "core/lvalue.h"
#include "core/mem/mem.h"
#include "core/mod_fix.h"
#include "core/pvar.h"
#include <string.h>

#include "shim.h"

int ks_parse_headers(struct sip_msg *msg)
{
	return parse_headers(msg, HDR_EOH_F, 0);
}

int ks_get_svalue(struct sip_msg *msg, char *param, str *value)
{
	return fixup_get_svalue(msg, (gparam_t *)param, value);
}

int ks_change_body(struct sip_msg *msg, struct hdr_field *field, str *body)
{
	struct lump *lump;
	char *text;

	lump = del_lump(msg, field->body.s - msg->buf, field->body.len, 0);
	if(lump == NULL)
		return -1;
	text = pkg_malloc(body->len);
	if(text == NULL)
		return -1;
	memcpy(text, body->s, body->len);
	if(insert_new_lump_after(lump, text, body->len, 0) == NULL) {
		pkg_free(text);
		return -1;
	}
	return 0;
}

int ks_print_format(struct sip_msg *msg, str *format, str *value)
{
	static pv_elem_t *parsed = NULL;

	if(parsed == NULL && pv_parse_format(format, &parsed) < 0)
		return -1;
	return pv_printf_s(msg, parsed, value) < 0 ? -1 : 0;
}

int ks_set_pv(struct sip_msg *msg, char *param, str *value)
{
	pv_spec_t *spec = (pv_spec_t *)param;
	pv_value_t pv = {0};

	if(!pv_is_w(spec))
		return -1;
	pv.rs = *value;
	pv.flags = PV_VAL_STR;
	return spec->setf(msg, &spec->pvp, (int)EQ_T, &pv);
}

void ks_counter_add(counter_handle_t handle, int value)
{
	counter_add(handle, value);
}

int ks_log_enabled(int level)
{
	return is_printable(level);
}

void ks_log(int level, const char *text, int len)
{
	LOG_FN(DEFAULT_FACILITY, level, MOD_NAME ": ", "%.*s\n", len, text);
}
