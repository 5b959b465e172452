/* Encryption in place, what must be refused, and work by threads, children and after a new start. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tde.h"

#define ROUNDS 500

static void prepare(struct page *page) {
    page->mechanism.mechanism = CKM_AES_CBC_PAD;
    page->mechanism.pParameter = page->iv;
    page->mechanism.ulParameterLen = sizeof page->iv;
}

void seal(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, struct page *page) {
    struct { char odd; CK_ULONG needed, room; } PACKED out;
    prepare(page);
    must("C_EncryptInit", p11->C_EncryptInit(session, &page->mechanism, key), CKR_OK);
    must("C_Encrypt, length", p11->C_Encrypt(session, page->bytes, page->length, NULL, &out.needed), CKR_OK);
    must("the length", out.needed, page->length / 16 * 16 + 16);
    out.room = sizeof page->bytes;
    must("C_Encrypt", p11->C_Encrypt(session, page->bytes, page->length, page->bytes, &out.room), CKR_OK);
    must("the result's length", out.room, out.needed);
    page->length = out.room;
}

void unseal(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, struct page *page) {
    struct { char odd; CK_ULONG room; } PACKED out = {0, sizeof page->bytes};
    prepare(page);
    must("C_DecryptInit", p11->C_DecryptInit(session, &page->mechanism, key), CKR_OK);
    must("C_Decrypt", p11->C_Decrypt(session, page->bytes, page->length, page->bytes, &out.room), CKR_OK);
    page->length = out.room;
}

/* The master key stays; a table key may be wrapped under it and comes back. */
void guard(CK_SESSION_HANDLE session, const char *id) {
    CK_OBJECT_HANDLE key = master_key(session, id);
    unsigned char value[64], wrapped[64], iv[16] = {0};
    CK_BBOOL flags[4], yes = CK_TRUE;
    CK_ULONG length = 32, room = sizeof wrapped;
    CK_ATTRIBUTE secret = {CKA_VALUE, value, sizeof value};
    must("its value is not told", p11->C_GetAttributeValue(session, key, &secret, 1), CKR_ATTRIBUTE_SENSITIVE);
    CK_ATTRIBUTE promised[] = {{CKA_SENSITIVE, &flags[0], 1}, {CKA_ALWAYS_SENSITIVE, &flags[1], 1},
                               {CKA_NEVER_EXTRACTABLE, &flags[2], 1}, {CKA_EXTRACTABLE, &flags[3], 1}};
    must("attributes", p11->C_GetAttributeValue(session, key, promised, 4), CKR_OK);
    must("sensitive, always, never extractable", flags[0] && flags[1] && flags[2] && !flags[3], 1);
    CK_ATTRIBUTE loose = {CKA_EXTRACTABLE, &yes, 1};
    must("it is not made extractable", p11->C_SetAttributeValue(session, key, &loose, 1), CKR_ATTRIBUTE_READ_ONLY);
    CK_MECHANISM cbc = {CKM_AES_CBC_PAD, iv, sizeof iv};
    must("it is not wrapped by itself", p11->C_WrapKey(session, &cbc, key, key, wrapped, &room), CKR_KEY_UNEXTRACTABLE);

    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_OBJECT_HANDLE table_key, back;
    CK_BBOOL no = CK_FALSE;
    CK_MECHANISM generation = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ATTRIBUTE shape[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type}, {CKA_EXTRACTABLE, &yes, 1},
                            {CKA_SENSITIVE, &no, 1}, {CKA_VALUE_LEN, &length, sizeof length}};
    must("a table key", p11->C_GenerateKey(session, &generation, shape, 5, &table_key), CKR_OK);
    room = sizeof wrapped;
    must("C_WrapKey", p11->C_WrapKey(session, &cbc, key, table_key, wrapped, &room), CKR_OK);
    must("C_UnwrapKey", p11->C_UnwrapKey(session, &cbc, key, wrapped, room, shape, 4, &back), CKR_OK);
    CK_ATTRIBUTE first = {CKA_VALUE, value, 32}, second = {CKA_VALUE, value + 32, 32};
    must("table key", p11->C_GetAttributeValue(session, table_key, &first, 1), CKR_OK);
    must("table key again", p11->C_GetAttributeValue(session, back, &second, 1), CKR_OK);
    must("the same table key", memcmp(value, value + 32, 32), 0);

    struct page page = {.length = 100};
    seal(session, key, &page);
    struct { char odd; CK_ULONG room; } PACKED out = {0, sizeof page.bytes};
    must("C_DecryptInit", p11->C_DecryptInit(session, &page.mechanism, key), CKR_OK);
    must("half a block is refused", p11->C_Decrypt(session, page.bytes, page.length - 7, page.bytes, &out.room),
         CKR_ENCRYPTED_DATA_LEN_RANGE);
}

/* Encrypts and decrypts pages of all lengths in place. */
static void pages(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key) {
    for (int round = 0; round < ROUNDS; round++) {
        struct page page = {.length = round * 7 % 4096};
        must("C_GenerateRandom", p11->C_GenerateRandom(session, page.iv, sizeof page.iv), CKR_OK);
        CK_ULONG before = page.length;
        for (CK_ULONG i = 0; i < before; i++) page.bytes[i] = i * 31 + round;
        seal(session, key, &page);
        unseal(session, key, &page);
        must("the page's length", page.length, before);
        for (CK_ULONG i = 0; i < before; i++) must("the page", page.bytes[i], (unsigned char)(i * 31 + round));
    }
}

static void *thread(void *id) {
    CK_SESSION_HANDLE session = open_session(); /* the login is the whole process's */
    pages(session, master_key(session, id));
    must("C_CloseSession", p11->C_CloseSession(session), CKR_OK);
    return NULL;
}

static void threads(const char *id) {
    pthread_t workers[2];
    for (int i = 0; i < 2; i++) pthread_create(&workers[i], NULL, thread, (void *)id);
    for (int i = 0; i < 2; i++) pthread_join(workers[i], NULL);
    puts("two threads");
}

/* Two database processes: one goes on with what it inherited, one starts anew. */
static void children(CK_SESSION_HANDLE session, const char *id) {
    CK_OBJECT_HANDLE key = master_key(session, id);
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        if ((pids[i] = fork()) != 0) continue;
        if (i == 1) {
            start();
            session = open_wallet();
            key = master_key(session, id);
        }
        pages(session, key);
        _exit(0);
    }
    pages(session, key);
    for (int i = 0; i < 2; i++) {
        int status;
        waitpid(pids[i], &status, 0);
        must("the child", status, 0);
    }
    puts("children and parent");
}

/* The module is started anew in the running database: handles of before are no more. */
static CK_SESSION_HANDLE restart(CK_SESSION_HANDLE session, const char *id) {
    must("a second C_Initialize", p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
    CK_SESSION_INFO info;
    must("nothing works before C_Initialize", p11->C_GetSessionInfo(session, &info), CKR_CRYPTOKI_NOT_INITIALIZED);
    start();
    must("the old session", p11->C_GetSessionInfo(session, &info), CKR_SESSION_HANDLE_INVALID);
    session = open_wallet();
    pages(session, master_key(session, id));
    puts("started anew");
    return session;
}

CK_SESSION_HANDLE work(CK_SESSION_HANDLE session, const char *id) {
    pages(session, master_key(session, id));
    threads(id);
    children(session, id);
    session = restart(session, id);
    threads(id);
    children(session, id);
    return session;
}
