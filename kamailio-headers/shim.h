/* Macros and inline functions of Kamailio's API as symbols, which bindgen needs. */

#ifndef SECSIPID_SHIM_H
#define SECSIPID_SHIM_H

#include "core/counters.h"
#include "core/route.h"
#include "core/sr_module.h"
#include "core/parser/msg_parser.h"

/* Parses all headers of the message; 0, or negative. */
int ks_parse_headers(struct sip_msg *msg);

/* The value of a fixed-up string argument; 0, or negative. */
int ks_get_svalue(struct sip_msg *msg, char *param, str *value);

/* A party of a message as Kamailio's parsers read it: what $fu and $fU, $tu and $tU, $ai, $ru and $rU
 * show. The parts point into the message. */
struct ks_party {
	str uri;
	str user;
	str host;
	/* The value of the URI's parameter user. */
	str user_param;
	/* One of KS_URI_*, or another number for what is none of them. */
	int scheme;
	/* Name and URI together, without the header's parameters; empty for a Request-URI. */
	str whole;
};

/* These fill one in. 1: done; 0: the message does not have it; negative: Kamailio's parser refuses it,
 * and only whole and uri may be there. ks_from and ks_to read the first field of that name. */
int ks_from(struct sip_msg *msg, struct ks_party *party);
int ks_to(struct sip_msg *msg, struct ks_party *party);
int ks_request_uri(struct sip_msg *msg, struct ks_party *party);

/* The value with this number of a P-Asserted-Identity field of the message. */
int ks_asserted(struct sip_msg *msg, struct hdr_field *field, int number, struct ks_party *party);

/* Replaces the body of a header field; 0, or negative. */
int ks_change_body(struct sip_msg *msg, struct hdr_field *field, str *body);

/* Parses a text with pseudo-variables, which must stay where it is; 0, or negative. */
int ks_parse_format(str *format);

/* Prints it for a message; 0, or negative, also if there is none. */
int ks_print_format(struct sip_msg *msg, str *value);

/* Sets a writable variable to a string; 0, or negative. */
int ks_set_pv(struct sip_msg *msg, char *param, str *value);

/* Loads tm's functions, before the fork; negative if tm is not loaded. */
int ks_load_tm(void);

/* Whether the script has such a route; with a KEMI script nobody knows. */
int ks_has_route(char *route);

/* Where a request can be suspended: elsewhere its transaction is in use. */
#define KS_WAITING_ROUTES (REQUEST_ROUTE | FAILURE_ROUTE)

/* Whether it is a request that can wait: an ACK can't, nor a CANCEL. Negative where none can. */
int ks_can_wait(struct sip_msg *msg);

/* Suspends a request in its transaction, which is made where there is none. 1: suspended; 0: nothing
 * is left to do for it (a retransmission, a call that was canceled); negative: it can't be. */
int ks_suspend(struct sip_msg *msg, unsigned int *index, unsigned int *label);

/* Takes that back, before anything else is done with the message. */
void ks_unsuspend(unsigned int index, unsigned int label);

/* Goes on with a suspended transaction in this route; negative if that is not possible any more. */
int ks_resume(unsigned int index, unsigned int label, char *route);

/* Memory that all processes share and that is never freed, zeroed; NULL if there is none. */
void *ks_shared(size_t size);

/* Adds to a counter. */
void ks_counter_add(counter_handle_t handle, int value);

/* Has this called every so many seconds, in a process that keeps up nobody; 0, or negative. */
int ks_every(int seconds, void (*look)(unsigned int ticks, void *param));

/* Takes over what an operator has set (cfg.set); where no message is at hand. */
void ks_follow_settings(void);

/* Whether a message of this level is logged. */
int ks_log_enabled(int level);

/* Logs a text that need not end in NUL. */
void ks_log(int level, const char *text, int len);

#endif
