/* What the two halves of the program share. */
#include "pkcs11.h"

/* Oracle's structures are packed: what follows the odd byte at their beginning lies at an odd address. */
#define PACKED __attribute__((packed, aligned(8)))
#define KEY "ORACLE.TDE.HSM.MK."
#define MARK "ORACLE.SECURITY.KM.ENCRYPTION."

/* A piece of data that is encrypted where it lies. */
struct page {
    char odd;
    CK_MECHANISM mechanism;
    CK_ULONG length;
    unsigned char iv[16];
    unsigned char bytes[4096 + 16];
} PACKED;

extern CK_FUNCTION_LIST *p11;

/* Ends the program when `got` is not `wanted`. */
void must(const char *what, CK_RV got, CK_RV wanted);
void start(void);
CK_SESSION_HANDLE open_session(void);
/* A session of a logged-in user; says so and ends the program when the PIN is wrong. */
CK_SESSION_HANDLE open_wallet(void);
CK_OBJECT_HANDLE master_key(CK_SESSION_HANDLE session, const char *id);

void seal(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, struct page *page);
void unseal(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, struct page *page);
void guard(CK_SESSION_HANDLE session, const char *id);
/* Answers the session that is open afterwards. */
CK_SESSION_HANDLE work(CK_SESSION_HANDLE session, const char *id);
