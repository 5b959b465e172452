/* Strongroom's own numbers. There are none yet: everything is the standard's (pkcs11.h). */
#ifndef STRONGROOM_H
#define STRONGROOM_H

#include "pkcs11.h"

#endif
