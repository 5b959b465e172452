/* Forks, threads, re-initialisation, dlclose and exits, as real hosts do them. Argument: module. */
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
        if (got_ != (wanted)) {                                                                     \
            fprintf(stderr, "%s:%d: %s is 0x%lx\n", __FILE__, __LINE__, #call, got_);               \
            exit(1);                                                                                \
        }                                                                                           \
    } while (0)

static CK_FUNCTION_LIST *p11;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE private_key;
static const char pin[] = "user-1234", so_pin[] = "officer-1";

static CK_SESSION_HANDLE open_session(void) {
    CK_SESSION_HANDLE opened;
    CHECK(CKR_OK, p11->C_OpenSession(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &opened));
    return opened;
}

static void login(CK_SESSION_HANDLE with) {
    CHECK(CKR_OK, p11->C_Login(with, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin)));
}

static void sign(CK_SESSION_HANDLE with, CK_OBJECT_HANDLE key) {
    CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
    CK_BYTE hash[32] = {1}, signature[64];
    CK_ULONG length = sizeof signature;
    CHECK(CKR_OK, p11->C_SignInit(with, &mechanism, key));
    CHECK(CKR_OK, p11->C_Sign(with, hash, sizeof hash, signature, &length));
}

static CK_OBJECT_HANDLE find_key(CK_SESSION_HANDLE with) {
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, "forked", 6}};
    CK_OBJECT_HANDLE found = 0;
    CK_ULONG count = 0;
    CHECK(CKR_OK, p11->C_FindObjectsInit(with, template, 2));
    CHECK(CKR_OK, p11->C_FindObjects(with, &found, 1, &count));
    CHECK(CKR_OK, p11->C_FindObjectsFinal(with));
    if (count != 1) {
        fprintf(stderr, "the key is not found\n");
        exit(1);
    }
    return found;
}

static void make_token(void) {
    CK_UTF8CHAR label[32];
    memset(label, ' ', sizeof label);
    memcpy(label, "processes", 9);
    CHECK(CKR_OK, p11->C_InitToken(0, (CK_UTF8CHAR *)so_pin, strlen(so_pin), label));
    session = open_session();
    CHECK(CKR_OK, p11->C_Login(session, CKU_SO, (CK_UTF8CHAR *)so_pin, strlen(so_pin)));
    CHECK(CKR_OK, p11->C_InitPIN(session, (CK_UTF8CHAR *)pin, strlen(pin)));
    CHECK(CKR_OK, p11->C_Logout(session));
    login(session);
    CK_BYTE p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE public_template[] = {{CKA_EC_PARAMS, p256, sizeof p256}, {CKA_TOKEN, &yes, 1}};
    CK_ATTRIBUTE private_template[] = {{CKA_TOKEN, &yes, 1}, {CKA_LABEL, "forked", 6}};
    CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_OBJECT_HANDLE public_key;
    CHECK(CKR_OK,
          p11->C_GenerateKeyPair(session, &mechanism, public_template, 2, private_template, 2, &public_key, &private_key));
    sign(session, private_key);
}

static int wait_for(pid_t child) {
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void in_children(void) {
    pid_t child = fork();
    if (child == 0) { /* inherits the session, the login and the handles, and may write */
        sign(session, private_key);
        CK_SESSION_HANDLE own = open_session();
        sign(own, find_key(own));
        CHECK(CKR_OK, p11->C_CloseSession(own));
        _exit(0);
    }
    CHECK(0, (CK_RV)wait_for(child));
    child = fork();
    if (child == 0) { /* starts afresh, once; an emptied environment, as in nginx's workers, loses no token */
        clearenv();
        CHECK(CKR_OK, p11->C_Initialize(NULL));
        CHECK(CKR_CRYPTOKI_ALREADY_INITIALIZED, p11->C_Initialize(NULL));
        CHECK(CKR_SESSION_HANDLE_INVALID, p11->C_CloseSession(session));
        CK_SESSION_HANDLE own = open_session();
        CHECK(CKR_PIN_INCORRECT, p11->C_Login(own, CKU_USER, (CK_UTF8CHAR *)"wrong-pin", 9));
        login(own);
        sign(own, find_key(own));
        CHECK(CKR_OK, p11->C_Finalize(NULL));
        exit(0);
    }
    CHECK(0, (CK_RV)wait_for(child));
    sign(session, private_key); /* and the parent goes on */
}

static volatile int stop;

static void *signer(void *unused) {
    CK_SESSION_HANDLE own = open_session();
    CK_MECHANISM generate = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ULONG length = 32;
    CK_BBOOL yes = CK_TRUE;
    while (!stop) {
        CK_ATTRIBUTE template[] = {{CKA_VALUE_LEN, &length, sizeof length}, {CKA_TOKEN, &yes, 1}};
        CK_OBJECT_HANDLE key;
        sign(own, private_key);
        CHECK(CKR_OK, p11->C_GenerateKey(own, &generate, template, 2, &key));
        CHECK(CKR_OK, p11->C_DestroyObject(own, key));
    }
    CHECK(CKR_OK, p11->C_CloseSession(own));
    return unused;
}

static void forks_under_load(void) {
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, signer, NULL);
    for (int i = 0; i < 30; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            CK_SESSION_HANDLE own = open_session();
            sign(own, find_key(own));
            _exit(0);
        }
        CHECK(0, (CK_RV)wait_for(child));
    }
    stop = 1;
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

static void *waiter(void *unused) {
    CK_SLOT_ID slot;
    CHECK(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_WaitForSlotEvent(0, &slot, NULL));
    return unused;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    void *library = dlopen(argv[1], RTLD_NOW);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    CK_C_GetFunctionList get = (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList");
    CHECK(CKR_OK, get(&p11));
    CHECK(CKR_OK, p11->C_Initialize(NULL));
    make_token();
    in_children();
    forks_under_load();
    for (int i = 0; i < 20; i++) { /* again and again */
        CHECK(CKR_OK, p11->C_Finalize(NULL));
        CHECK(CKR_OK, p11->C_Initialize(NULL));
    }
    pthread_t waiting;
    pthread_create(&waiting, NULL, waiter, NULL);
    CHECK(CKR_OK, p11->C_Finalize(NULL));
    pthread_join(waiting, NULL);
    CHECK(CKR_OK, p11->C_Initialize(NULL));
    session = open_session();
    login(session);
    private_key = find_key(session);
    dlclose(library); /* without C_Finalize: it stays in memory */
    sign(session, private_key);
    stop = 0;
    pthread_t busy;
    for (int i = 0; i < 4; i++) pthread_create(&busy, NULL, signer, NULL);
    sign(session, private_key);
    puts("all well"); /* and exit with sessions open, while other threads are in the middle of calls */
    return 0;
}
