/* See shim.h. */

#define MOD_NAME "secsipid"

/* tm's headers reach one that refuses to do without; nothing here calls it, and no type depends on it. */
#define HAVE_GETHOSTBYNAME2

#include "core/cfg/cfg_struct.h"
#include "core/data_lump.h"
#include "core/dprint.h"
#include "core/kemi.h"
#include "core/lvalue.h"
#include "core/mem/mem.h"
#include "core/mem/shm_mem.h"
#include "core/mod_fix.h"
#include "core/parser/parse_from.h"
#include "core/parser/parse_ppi_pai.h"
#include "core/parser/parse_to.h"
#include "core/parser/parse_uri.h"
#include "core/pvar.h"
#include "core/route.h"
#include "core/timer_proc.h"
#include "modules/tm/tm_load.h"
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

static int fill(struct ks_party *party, struct sip_uri *parsed)
{
	party->user = parsed->user;
	party->host = parsed->host;
	party->user_param = parsed->user_param_val;
	/* With phone2tel a sip URI with user=phone counts as a tel URI: its own scheme is what it says. */
	party->scheme = (parsed->flags & URI_SIP_USER_PHONE) ? SIP_URI_T : parsed->type;
	if(party->scheme == SIP_URI_T && (party->uri.s[3] | 0x20) == 's')
		party->scheme = SIPS_URI_T;
	return 1;
}

static int fill_body(struct ks_party *party, to_body_t *body)
{
	struct sip_uri parsed;

	party->uri = body->uri;
	party->whole = body->body;
	if(body->error == PARSE_ERROR || body->uri.s == NULL || body->uri.len <= 0
			|| body->body.s == NULL || body->body.len <= 0)
		return -1;
	if(parse_uri(body->uri.s, body->uri.len, &parsed) < 0)
		return -1;
	return fill(party, &parsed);
}

int ks_from(struct sip_msg *msg, struct ks_party *party)
{
	memset(party, 0, sizeof(*party));
	if(msg->from == NULL)
		return 0;
	if(parse_from_header(msg) < 0 || get_from(msg) == NULL)
		return -1;
	return fill_body(party, get_from(msg));
}

int ks_to(struct sip_msg *msg, struct ks_party *party)
{
	memset(party, 0, sizeof(*party));
	if(msg->to == NULL)
		return 0;
	if(parse_to_header(msg) < 0 || get_to(msg) == NULL)
		return -1;
	return fill_body(party, get_to(msg));
}

int ks_request_uri(struct sip_msg *msg, struct ks_party *party)
{
	memset(party, 0, sizeof(*party));
	if(msg->first_line.type != SIP_REQUEST)
		return 0;
	party->uri = msg->new_uri.s != NULL ? msg->new_uri : msg->first_line.u.request.uri;
	if(party->uri.len <= 0 || parse_sip_msg_uri(msg) < 0)
		return -1;
	return fill(party, &msg->parsed_uri);
}

int ks_asserted(struct sip_msg *msg, struct hdr_field *field, int number, struct ks_party *party)
{
	p_id_body_t *values;

	memset(party, 0, sizeof(*party));
	/* Where one field is wrong this fails, but only the first time: those behind it are not parsed. */
	if(parse_pai_header(msg) < 0 || field->parsed == NULL)
		return -1;
	values = (p_id_body_t *)field->parsed;
	if(number >= values->num_ids)
		return 0;
	return fill_body(party, &values->id[number]);
}

int ks_change_body(struct sip_msg *msg, struct hdr_field *field, str *body)
{
	struct lump *lump;
	char *text;

	/* Where there is no memory the field stays as it was. */
	text = pkg_malloc(body->len);
	if(text == NULL)
		return -1;
	memcpy(text, body->s, body->len);
	lump = del_lump(msg, field->body.s - msg->buf, field->body.len, 0);
	if(lump != NULL && insert_new_lump_after(lump, text, body->len, 0) != NULL)
		return 0;
	if(lump != NULL)
		lump->op = LUMP_NOP;
	pkg_free(text);
	return -1;
}

static pv_elem_t *parsed_format = NULL;

int ks_parse_format(str *format)
{
	return pv_parse_format(format, &parsed_format) < 0 ? -1 : 0;
}

int ks_print_format(struct sip_msg *msg, str *value)
{
	if(parsed_format == NULL)
		return -1;
	return pv_printf_s(msg, parsed_format, value) < 0 ? -1 : 0;
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

/* As it was when the process was forked. */
static tm_api_t tm;

int ks_load_tm(void)
{
	/* Else Kamailio would warn of it. */
	if(find_export("load_tm", NO_SCRIPT, 0) == NULL)
		return -1;
	return load_tm_api(&tm);
}

int ks_has_route(char *route)
{
	int number;

	if(sr_kemi_eng_get() != NULL)
		return 1;
	number = route_lookup(&main_rt, route);
	return number >= 0 && main_rt.rlist[number] != NULL;
}

int ks_can_wait(struct sip_msg *msg)
{
	if(msg->first_line.type != SIP_REQUEST
			|| (msg->REQ_METHOD & (METHOD_ACK | METHOD_CANCEL)))
		return 0;
	return (get_route_type() & ~KS_WAITING_ROUTES) ? -1 : 1;
}

int ks_suspend(struct sip_msg *msg, unsigned int *index, unsigned int *label)
{
	struct cell *transaction = tm.t_gett();
	int done;

	if(transaction == NULL || transaction == T_UNDEFINED) {
		done = tm.t_newtran(msg);
		if(done <= 0)
			return done;
		transaction = tm.t_gett();
		if(transaction == NULL || transaction == T_UNDEFINED)
			return -1;
	}
	done = tm.t_suspend(msg, index, label);
	return done == 0 ? 1 : done > 0 ? 0 : done;
}

void ks_unsuspend(unsigned int index, unsigned int label)
{
	struct cell *transaction = tm.t_gett();

	tm.t_cancel_suspend(index, label);
	/* 5.6 leaves this, and then drops every reply to the transaction. */
	if(transaction != NULL && transaction != T_UNDEFINED)
		transaction->flags &= ~T_ASYNC_SUSPENDED;
}

int ks_resume(unsigned int index, unsigned int label, char *route)
{
	str name = {route, strlen(route)};
	str event = str_init("secsipid:fetched");
	int number;

	if(sr_kemi_eng_get() != NULL)
		return tm.t_continue_cb(index, label, &name, &event);
	number = route_lookup(&main_rt, route);
	/* Without a route tm ends the transaction. */
	return tm.t_continue(index, label, number < 0 ? NULL : main_rt.rlist[number]);
}

void *ks_shared(size_t size)
{
	void *memory = shm_malloc(size);

	if(memory != NULL)
		memset(memory, 0, size);
	return memory;
}

void ks_counter_add(counter_handle_t handle, int value)
{
	counter_add(handle, value);
}

int ks_every(int seconds, void (*look)(unsigned int ticks, void *param))
{
	return sr_wtimer_add(look, NULL, seconds);
}

void ks_follow_settings(void)
{
	cfg_update();
}

int ks_log_enabled(int level)
{
	return is_printable(level);
}

void ks_log(int level, const char *text, int len)
{
	LOG_FN(DEFAULT_FACILITY, level, MOD_NAME ": ", "%.*s\n", len, text);
}
