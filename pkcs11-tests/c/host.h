/* What the C hosts of these tests share: loading a module, and its calls in few words. */
#ifndef HOST_H
#define HOST_H

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkcs11.h"

#define CHECK(wanted, call)                                                                         \
    do {                                                                                            \
        CK_RV got_ = (call);                                                                        \
        if (got_ != (CK_RV)(wanted)) {                                                              \
            fprintf(stderr, "%s:%d: %s is 0x%lx\n", __FILE__, __LINE__, #call, got_);               \
            exit(1);                                                                                \
        }                                                                                           \
    } while (0)

static const char pin[] = "user-1234", so_pin[] = "officer-1";

static inline void *load(const char *path, int flags) {
    void *library = dlopen(path, flags);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return library;
}

static inline CK_FUNCTION_LIST *functions(void *library) {
    CK_FUNCTION_LIST *list;
    CK_C_GetFunctionList get = (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList");
    CHECK(CKR_OK, get(&list));
    return list;
}

static inline CK_SESSION_HANDLE open_at(CK_FUNCTION_LIST *p11, CK_SLOT_ID slot) {
    CK_SESSION_HANDLE opened;
    CHECK(CKR_OK, p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &opened));
    return opened;
}

static inline void login_at(CK_FUNCTION_LIST *p11, CK_SESSION_HANDLE with) {
    CHECK(CKR_OK, p11->C_Login(with, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin)));
}

/* A token with an officer and a user in the first slot; answers the slot, nobody logged in. */
static inline CK_SLOT_ID make_token_at(CK_FUNCTION_LIST *p11, CK_SLOT_ID slot) {
    CK_UTF8CHAR label[32];
    memset(label, ' ', sizeof label);
    memcpy(label, "host", 4);
    CHECK(CKR_OK, p11->C_InitToken(slot, (CK_UTF8CHAR *)so_pin, strlen(so_pin), label));
    CK_SLOT_ID slots[8]; /* SoftHSM2 gives a token another slot when it is made */
    CK_ULONG count = 8;
    CHECK(CKR_OK, p11->C_GetSlotList(CK_TRUE, slots, &count));
    CK_SESSION_HANDLE session = open_at(p11, slots[0]);
    CHECK(CKR_OK, p11->C_Login(session, CKU_SO, (CK_UTF8CHAR *)so_pin, strlen(so_pin)));
    CHECK(CKR_OK, p11->C_InitPIN(session, (CK_UTF8CHAR *)pin, strlen(pin)));
    CHECK(CKR_OK, p11->C_CloseSession(session));
    return slots[0];
}

static inline CK_OBJECT_HANDLE ec_key(CK_FUNCTION_LIST *p11, CK_SESSION_HANDLE session, CK_BBOOL on_token) {
    CK_BYTE p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE public_template[] = {{CKA_EC_PARAMS, p256, sizeof p256}, {CKA_TOKEN, &on_token, 1}};
    CK_ATTRIBUTE private_template[] = {{CKA_TOKEN, &on_token, 1}, {CKA_LABEL, "host key", 8}, {CKA_SIGN, &yes, 1}};
    CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_OBJECT_HANDLE public_key, private_key;
    CHECK(CKR_OK, p11->C_GenerateKeyPair(session, &mechanism, public_template, 2, private_template, 3, &public_key,
                                         &private_key));
    return private_key;
}

static inline void sign_with(CK_FUNCTION_LIST *p11, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key) {
    CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
    CK_BYTE hash[32] = {1}, signature[64];
    CK_ULONG length = sizeof signature;
    CHECK(CKR_OK, p11->C_SignInit(session, &mechanism, key));
    CHECK(CKR_OK, p11->C_Sign(session, hash, sizeof hash, signature, &length));
}

static inline CK_OBJECT_HANDLE token_secret(CK_FUNCTION_LIST *p11, CK_SESSION_HANDLE session, const char *label) {
    CK_MECHANISM generate = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ULONG length = 32;
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE template[] = {
        {CKA_VALUE_LEN, &length, sizeof length}, {CKA_TOKEN, &yes, 1}, {CKA_LABEL, (void *)label, strlen(label)}};
    CK_OBJECT_HANDLE key;
    CHECK(CKR_OK, p11->C_GenerateKey(session, &generate, template, 3, &key));
    return key;
}

static inline CK_ULONG count_of(CK_FUNCTION_LIST *p11, CK_SESSION_HANDLE session, const char *label) {
    CK_ATTRIBUTE template = {CKA_LABEL, (void *)label, strlen(label)};
    CK_OBJECT_HANDLE found[64];
    CK_ULONG count = 0;
    CHECK(CKR_OK, p11->C_FindObjectsInit(session, &template, 1));
    CHECK(CKR_OK, p11->C_FindObjects(session, found, 64, &count));
    CHECK(CKR_OK, p11->C_FindObjectsFinal(session));
    return count;
}

#endif
