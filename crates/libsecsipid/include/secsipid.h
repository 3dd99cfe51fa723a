/* Includes libsecsipid.h, and says which version of its functions they are. */

#ifndef __SECSIPID_H__
#define __SECSIPID_H__

#include "libsecsipid.h"

/* 0xAABBCC00 is version AA.BB.CC. These are the functions of 1.3.0. */
#define SECSIPID_VERSION 0x1030000

#endif
