/* Signs standard input with an EC key of the token: sign MODULE PIN LABEL < data > signature
 *
 * The signature is r || s, as PKCS#11 gives it; the data is hashed by the token (ECDSA-SHA256). */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "pkcs11.h"

static int failed(const char *what, CK_RV code) {
    if (code != CKR_OK) fprintf(stderr, "%s: 0x%lx\n", what, code);
    return code != CKR_OK;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: sign MODULE PIN LABEL < data > signature\n");
        return 2;
    }
    void *module = dlopen(argv[1], RTLD_NOW);
    CK_C_GetFunctionList get = module ? (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList") : NULL;
    CK_FUNCTION_LIST *p11;
    if (!get || failed("C_GetFunctionList", get(&p11))) {
        fprintf(stderr, "%s is no PKCS#11 module\n", argv[1]);
        return 1;
    }

    CK_SLOT_ID slot;
    CK_ULONG count = 1;
    CK_SESSION_HANDLE session;
    CK_UTF8CHAR *pin = (CK_UTF8CHAR *)argv[2];
    if (failed("C_Initialize", p11->C_Initialize(NULL)) ||
        failed("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, &slot, &count)) ||
        failed("C_OpenSession", p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session)) ||
        failed("C_Login", p11->C_Login(session, CKU_USER, pin, strlen(argv[2]))))
        return 1;

    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, argv[3], strlen(argv[3])}};
    CK_OBJECT_HANDLE key;
    if (failed("C_FindObjectsInit", p11->C_FindObjectsInit(session, wanted, 2)) ||
        failed("C_FindObjects", p11->C_FindObjects(session, &key, 1, &count)) ||
        failed("C_FindObjectsFinal", p11->C_FindObjectsFinal(session)))
        return 1;
    if (count != 1) {
        fprintf(stderr, "no private key is labelled %s\n", argv[3]);
        return 1;
    }

    CK_MECHANISM mechanism = {CKM_ECDSA_SHA256, NULL, 0};
    CK_BYTE part[4096], signature[256];
    if (failed("C_SignInit", p11->C_SignInit(session, &mechanism, key))) return 1;
    for (size_t read; (read = fread(part, 1, sizeof part, stdin)) > 0;)
        if (failed("C_SignUpdate", p11->C_SignUpdate(session, part, read))) return 1;
    CK_ULONG length = sizeof signature;
    if (failed("C_SignFinal", p11->C_SignFinal(session, signature, &length))) return 1;
    fwrite(signature, 1, length, stdout);
    return failed("C_Finalize", p11->C_Finalize(NULL));
}
