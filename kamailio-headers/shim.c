/* See shim.h. */

#define MOD_NAME "secsipid"

#include "core/dprint.h"
#include "core/lvalue.h"
#include "core/mod_fix.h"
#include "core/pvar.h"
#include "shim.h"

int ks_parse_headers(struct sip_msg *msg)
{
	return parse_headers(msg, HDR_EOH_F, 0);
}

int ks_get_svalue(struct sip_msg *msg, char *param, str *value)
{
	return fixup_get_svalue(msg, (gparam_t *)param, value);
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

int ks_log_enabled(int level)
{
	return is_printable(level);
}

void ks_log(int level, const char *text, int len)
{
	LOG_FN(DEFAULT_FACILITY, level, MOD_NAME ": ", "%.*s\n", len, text);
}
