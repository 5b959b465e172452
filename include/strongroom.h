/* Strongroom's own numbers, beside the standard's (pkcs11.h). */
#ifndef STRONGROOM_H
#define STRONGROOM_H

#include "pkcs11.h"

/* CK_BBOOL of keys, false when absent, may be changed: each C_SignInit and its like, C_WrapKey, C_UnwrapKey,
 * C_DeriveKey and C_DigestKey with the key is recorded in the audit log before it begins; it costs a durable
 * write each time. */
#define CKA_STRONGROOM_AUDIT_USE (CKA_VENDOR_DEFINED | 0x53520001UL)

#endif
