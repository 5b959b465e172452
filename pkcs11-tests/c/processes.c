/* Forks, threads, re-initialisation, dlclose and exits, as real hosts do them. Argument: module. */
#include "host.h"

static CK_FUNCTION_LIST *p11;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE private_key;

static CK_SESSION_HANDLE open_session(void) { return open_at(p11, 0); }

static void login(CK_SESSION_HANDLE with) { login_at(p11, with); }

static void sign(CK_SESSION_HANDLE with, CK_OBJECT_HANDLE key) { sign_with(p11, with, key); }

static CK_OBJECT_HANDLE find_key(CK_SESSION_HANDLE with) {
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, "host key", 8}};
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
    make_token_at(p11, 0);
    session = open_session();
    login(session);
    private_key = ec_key(p11, session, CK_TRUE);
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
    while (!stop) {
        sign(own, private_key);
        CHECK(CKR_OK, p11->C_DestroyObject(own, token_secret(p11, own, "passing")));
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
    void *library = load(argv[1], RTLD_NOW);
    p11 = functions(library);
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
