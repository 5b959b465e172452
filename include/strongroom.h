/* Strongroom's own numbers, beside the standard's (pkcs11.h). */
#ifndef STRONGROOM_H
#define STRONGROOM_H

#include "pkcs11.h"

/* CK_BBOOL of keys, false when absent, may be changed: each C_SignInit and its like, C_WrapKey, C_UnwrapKey,
 * C_DeriveKey and C_DigestKey with the key is recorded in the audit log before it begins; it costs a durable
 * write each time. */
#define CKA_STRONGROOM_AUDIT_USE (CKA_VENDOR_DEFINED | 0x53520001UL)

/* Name of the user who owns the object: not NUL-terminated, empty for what nobody owns. Everybody who
 * sees the object reads it; it can be searched for. The owner gives the object away by setting it with
 * C_SetAttributeValue; a private object's handle is then no longer his. */
#define CKA_STRONGROOM_OWNER (CKA_VENDOR_DEFINED | 0x53520002UL)

/* Names of the users who may use a private token key (CKO_PRIVATE_KEY, CKO_SECRET_KEY with CKA_TOKEN and
 * CKA_PRIVATE), one a line ('\n' between them), empty for none. For the owner alone: he reads it, and
 * shares and unshares by setting the whole list with C_SetAttributeValue, or in the template that makes
 * the key. CKR_ATTRIBUTE_VALUE_INVALID: one of the names is no user's. */
#define CKA_STRONGROOM_SHARED_WITH (CKA_VENDOR_DEFINED | 0x53520003UL)

/* CK_BBOOL of keys, false when absent. While it is true nobody uses the key (CKR_KEY_FUNCTION_NOT_PERMITTED), also not
 * the owner, and nobody copies it (CKR_ACTION_PROHIBITED); it is still found and read. The owner sets it with
 * C_SetAttributeValue, also of a key that is not CKA_MODIFIABLE. */
#define CKA_STRONGROOM_SUSPENDED (CKA_VENDOR_DEFINED | 0x53520010UL)

/* CK_ULONG of keys, read only: counts the versions of a key, from 1 (`strongroom key rotate`). */
#define CKA_STRONGROOM_VERSION (CKA_VENDOR_DEFINED | 0x53520011UL)

/* CKA_UNIQUE_ID of a key's first version, empty while there is no other one; read only. It can be searched for: all
 * versions have it, private and public halves each their own. */
#define CKA_STRONGROOM_SERIES (CKA_VENDOR_DEFINED | 0x53520012UL)

/* CK_BBOOL of keys, false when absent, read only: a newer version took the place of this one, which gets no CKA_SIGN,
 * CKA_ENCRYPT, CKA_WRAP or other use any more. */
#define CKA_STRONGROOM_RETIRED (CKA_VENDOR_DEFINED | 0x53520013UL)

/* When a token key came into the file (RFC 3339, UTC, not NUL-terminated), empty for keys of before; read only. */
#define CKA_STRONGROOM_MADE_AT (CKA_VENDOR_DEFINED | 0x53520014UL)

/* AWS CloudHSM's numbers, as its cloudhsm_pkcs11_vendor_defs.h has them. CKM_CLOUDHSM_AES_GCM takes CK_GCM_PARAMS
 * with pIv NULL and ulIvLen 0, makes the IV, and puts its 12 bytes before the ciphertext. The key wraps are
 * CKM_AES_KEY_WRAP (RFC 3394) and CKM_AES_KEY_WRAP_KWP (RFC 5649) by another number. */
#define CKM_CLOUDHSM_AES_GCM (CKM_VENDOR_DEFINED | 0x1087UL)
#define CKM_CLOUDHSM_AES_KEY_WRAP_NO_PAD (CKM_VENDOR_DEFINED | 0x2109UL)
#define CKM_CLOUDHSM_AES_KEY_WRAP_ZERO_PAD (CKM_VENDOR_DEFINED | 0x216fUL)

#endif
