/* What the module needs of Kamailio's API; bindgen reads this. */

#include "core/sr_module.h"
#include "core/mod_fix.h"
#include "core/pvar.h"
#include "core/lvalue.h"
#include "core/kemi.h"
#include "core/pt.h"
#include "core/rpc.h"
#include "core/cfg/cfg_struct.h"
#include "core/data_lump.h"
#include "core/parser/hf.h"
#include "core/parser/msg_parser.h"

#include "shim.h"

/* Macros whose values bindgen can't work out: sizeof and shifts are in them. */
static const unsigned int KS_PARAM_USE_FUNC = PARAM_USE_FUNC;
static const int KS_HDR_FROM = HDR_FROM_T;
static const int KS_HDR_TO = HDR_TO_T;
static const int KS_HDR_PAI = HDR_PAI_T;
static const int KS_URI_SIP = SIP_URI_T;
static const int KS_URI_SIPS = SIPS_URI_T;
static const int KS_URI_TEL = TEL_URI_T;
static const int KS_URI_URN = URN_URI_T;
static const unsigned int KS_ANY_ROUTE = ANY_ROUTE;
static const unsigned int KS_RET_ARRAY = RET_ARRAY;
