/* Two NSS databases in one process, both naming the module: each is opened, signs with a key of the token, and is
 * closed, the first while the second goes on. Usage: two-databases DATABASE DATABASE NICKNAME PIN [leave]
 *
 * NSS tells the module that it may start no threads (CKF_LIBRARY_CANT_CREATE_OS_THREADS): none may appear.
 * With `leave` the process ends logged in, nothing closed. */
#include <cert.h>
#include <cryptohi.h>
#include <dirent.h>
#include <keyhi.h>
#include <nss.h>
#include <pk11pub.h>
#include <prerror.h>
#include <secmod.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int good, const char *what) {
    if (good)
        return;
    fprintf(stderr, "%s: %s\n", what, PR_ErrorToString(PR_GetError(), PR_LANGUAGE_I_DEFAULT));
    exit(1);
}

static char *tell_pin(PK11SlotInfo *slot, PRBool retry, void *pin) {
    (void)slot;
    return retry ? NULL : PORT_Strdup(pin);
}

static int threads(void) {
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    while (readdir(tasks))
        count++;
    closedir(tasks);
    return count - 2; /* . and .. */
}

static NSSInitContext *open_database(const char *folder) {
    NSSInitContext *context = NSS_InitContext(folder, "", "", "secmod.db", NULL, 0);
    must(context != NULL, folder);
    return context;
}

static int modules(void) { /* loaded ones that are not NSS's own */
    int count = 0;
    SECMOD_GetReadLock(SECMOD_GetDefaultModuleListLock());
    for (SECMODModuleList *entry = SECMOD_GetDefaultModuleList(); entry; entry = entry->next)
        if (entry->module->loaded && !entry->module->internal)
            count++;
    SECMOD_ReleaseReadLock(SECMOD_GetDefaultModuleListLock());
    return count;
}

static void sign(const char *nickname, char *pin) {
    unsigned char text[] = "signed in the token, checked by NSS";
    CERTCertificate *certificate = PK11_FindCertFromNickname(nickname, pin);
    must(certificate != NULL, nickname);
    SECKEYPrivateKey *key = PK11_FindKeyByAnyCert(certificate, pin);
    must(key != NULL, "its private key");
    must(!PK11_IsInternal(key->pkcs11Slot), "a key outside NSS's own store");
    SECKEYPublicKey *public = CERT_ExtractPublicKey(certificate);
    must(public != NULL, "its public key");
    SECItem signature = {siBuffer, NULL, 0};
    SECOidTag algorithm = SEC_OID_PKCS1_SHA256_WITH_RSA_ENCRYPTION;
    must(SEC_SignData(&signature, text, sizeof text, key, algorithm) == SECSuccess, "sign");
    must(VFY_VerifyData(text, sizeof text, public, &signature, algorithm, NULL) == SECSuccess, "verify");
    SECITEM_FreeItem(&signature, PR_FALSE);
    SECKEY_DestroyPublicKey(public);
    SECKEY_DestroyPrivateKey(key);
    CERT_DestroyCertificate(certificate);
}

int main(int count, char **word) {
    if (count < 5)
        return 2;
    int before = threads();
    PK11_SetPasswordFunc(tell_pin);
    NSSInitContext *first = open_database(word[1]);
    sign(word[3], word[4]);
    NSSInitContext *second = open_database(word[2]);
    printf("modules loaded: %d\n", modules());
    sign(word[3], word[4]);
    must(threads() == before, "a thread that NSS did not allow");
    if (count > 5)
        exit(0);
    must(NSS_ShutdownContext(first) == SECSuccess, "close the first");
    sign(word[3], word[4]);
    must(NSS_ShutdownContext(second) == SECSuccess, "close the second");
    first = open_database(word[1]);
    sign(word[3], word[4]);
    must(NSS_ShutdownContext(first) == SECSuccess, "close it again");
    puts("both databases worked");
    return 0;
}
