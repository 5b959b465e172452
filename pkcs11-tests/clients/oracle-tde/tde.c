/* The calls that Oracle's Transparent Data Encryption makes of an HSM, with its habits: the PIN is
 * `user:password`; every structure and result lies at an odd address; a master key
 * ORACLE.TDE.HSM.MK.<id> is tied to a DATA object ORACLE.SECURITY.KM.ENCRYPTION.<id>; table keys are
 * encrypted under the master key by AES-CBC-PAD, in place; a new master key does not retire the old.
 *
 *   tde MODULE PIN set-key              a new master key; prints its id
 *   tde MODULE PIN list                 the ids, one a line
 *   tde MODULE PIN encrypt ID IN OUT    IN (a table key) under the master key ID; OUT: IV, ciphertext
 *   tde MODULE PIN decrypt ID IN OUT
 *   tde MODULE PIN guard ID             what must be refused is refused
 *   tde MODULE PIN work ID              two threads, children, a new start: all encrypt and decrypt */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tde.h"

CK_FUNCTION_LIST *p11;
static const char *pin;

void must(const char *what, CK_RV got, CK_RV wanted) {
    if (got == wanted) return;
    fprintf(stderr, "%s: 0x%lx, not 0x%lx\n", what, got, wanted);
    exit(1);
}

static void load(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CK_C_GetFunctionList get = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
    if (!get) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    struct { char odd; CK_FUNCTION_LIST *list; } PACKED found;
    must("C_GetFunctionList", get(&found.list), CKR_OK);
    p11 = found.list;
}

void start(void) {
    struct { char odd; CK_C_INITIALIZE_ARGS args; } PACKED in;
    memset(&in, 0, sizeof in);
    in.args.flags = CKF_OS_LOCKING_OK;
    must("C_Initialize", p11->C_Initialize(&in.args), CKR_OK);
}

CK_SESSION_HANDLE open_session(void) {
    struct { char odd; CK_ULONG count; CK_SLOT_ID slots[8]; CK_TOKEN_INFO token; CK_SESSION_HANDLE session; } PACKED out;
    out.count = 8;
    must("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, out.slots, &out.count), CKR_OK);
    must("C_GetTokenInfo", p11->C_GetTokenInfo(out.slots[0], &out.token), CKR_OK);
    must("a token is there", out.token.flags & CKF_TOKEN_INITIALIZED, CKF_TOKEN_INITIALIZED);
    must("C_OpenSession", p11->C_OpenSession(out.slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &out.session),
         CKR_OK);
    return out.session;
}

static CK_RV log_in(CK_SESSION_HANDLE session) {
    return p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin));
}

CK_SESSION_HANDLE open_wallet(void) {
    CK_SESSION_HANDLE session = open_session();
    CK_RV answer = log_in(session);
    if (answer == CKR_PIN_INCORRECT || answer == CKR_PIN_LOCKED) {
        /* What the database's administrator reads. */
        fprintf(stderr, "ORA-28353: failed to open wallet (%s)\n", answer == CKR_PIN_LOCKED ? "locked" : "wrong PIN");
        exit(1);
    }
    must("C_Login", answer, CKR_OK);
    return session;
}

/* An attribute of a packed template. */
static void put(CK_ATTRIBUTE *at, CK_ATTRIBUTE_TYPE type, const void *value, CK_ULONG length) {
    CK_ATTRIBUTE attribute = {type, (void *)value, length};
    memcpy(at, &attribute, sizeof attribute);
}

/* Objects of a class with a label; NULL: with any. */
static CK_ULONG find(CK_SESSION_HANDLE session, CK_OBJECT_CLASS class, const char *label, CK_OBJECT_HANDLE *found, CK_ULONG room) {
    struct { char odd; CK_ATTRIBUTE wanted[2]; CK_ULONG count; CK_OBJECT_HANDLE handles[64]; } PACKED frame;
    put(&frame.wanted[0], CKA_CLASS, &class, sizeof class);
    if (label) put(&frame.wanted[1], CKA_LABEL, label, strlen(label));
    must("C_FindObjectsInit", p11->C_FindObjectsInit(session, frame.wanted, label ? 2 : 1), CKR_OK);
    must("C_FindObjects", p11->C_FindObjects(session, frame.handles, room, &frame.count), CKR_OK);
    must("C_FindObjectsFinal", p11->C_FindObjectsFinal(session), CKR_OK);
    memcpy(found, frame.handles, frame.count * sizeof *found);
    return frame.count;
}

CK_OBJECT_HANDLE master_key(CK_SESSION_HANDLE session, const char *id) {
    char label[128];
    CK_OBJECT_HANDLE found[2];
    snprintf(label, sizeof label, MARK "%s", id);
    must("the DATA object is there once", find(session, CKO_DATA, label, found, 2), 1);
    snprintf(label, sizeof label, KEY "%s", id);
    must("its master key is there once", find(session, CKO_SECRET_KEY, label, found, 2), 1);
    return found[0];
}

static void generate(CK_SESSION_HANDLE session, const char *label) {
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_ULONG length = 32;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    struct { char odd; CK_MECHANISM mechanism; CK_ATTRIBUTE key[12]; CK_OBJECT_HANDLE handle; } PACKED frame;
    memset(&frame, 0, sizeof frame);
    frame.mechanism.mechanism = CKM_AES_KEY_GEN;
    CK_ATTRIBUTE *at = frame.key;
    put(at++, CKA_CLASS, &class, sizeof class);
    put(at++, CKA_KEY_TYPE, &type, sizeof type);
    put(at++, CKA_VALUE_LEN, &length, sizeof length);
    put(at++, CKA_LABEL, label, strlen(label));
    put(at++, CKA_TOKEN, &yes, 1);
    put(at++, CKA_PRIVATE, &yes, 1);
    put(at++, CKA_SENSITIVE, &yes, 1);
    put(at++, CKA_EXTRACTABLE, &no, 1);
    put(at++, CKA_ENCRYPT, &yes, 1);
    put(at++, CKA_DECRYPT, &yes, 1);
    put(at++, CKA_WRAP, &yes, 1);
    put(at++, CKA_UNWRAP, &yes, 1);
    must("C_GenerateKey", p11->C_GenerateKey(session, &frame.mechanism, frame.key, at - frame.key, &frame.handle), CKR_OK);
}

static void mark(CK_SESSION_HANDLE session, const char *label, const char *key_label) {
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_BBOOL yes = CK_TRUE;
    struct { char odd; CK_ATTRIBUTE data[6]; CK_OBJECT_HANDLE handle; } PACKED frame;
    put(&frame.data[0], CKA_CLASS, &class, sizeof class);
    put(&frame.data[1], CKA_TOKEN, &yes, 1);
    put(&frame.data[2], CKA_PRIVATE, &yes, 1);
    put(&frame.data[3], CKA_APPLICATION, "ORACLE", 6);
    put(&frame.data[4], CKA_LABEL, label, strlen(label));
    put(&frame.data[5], CKA_VALUE, key_label, strlen(key_label));
    must("C_CreateObject", p11->C_CreateObject(session, frame.data, 6, &frame.handle), CKR_OK);
}

static void set_key(CK_SESSION_HANDLE session) {
    unsigned char random[16];
    char id[33], key[128], data[128];
    must("C_GenerateRandom", p11->C_GenerateRandom(session, random, sizeof random), CKR_OK);
    for (int i = 0; i < 16; i++) sprintf(id + 2 * i, "%02X", random[i]);
    snprintf(key, sizeof key, KEY "%s", id);
    snprintf(data, sizeof data, MARK "%s", id);
    generate(session, key);
    mark(session, data, key);
    puts(id);
}

/* Reads each DATA object as Oracle does, length first, and prints the id. */
static void list(CK_SESSION_HANDLE session) {
    CK_OBJECT_HANDLE found[64];
    CK_ULONG count = find(session, CKO_DATA, NULL, found, 64);
    for (CK_ULONG i = 0; i < count; i++) {
        struct { char odd; CK_ATTRIBUTE wanted[2]; char label[128], value[128]; } PACKED frame;
        memset(&frame, 0, sizeof frame);
        put(&frame.wanted[0], CKA_LABEL, NULL, 0);
        put(&frame.wanted[1], CKA_VALUE, NULL, 0);
        must("lengths", p11->C_GetAttributeValue(session, found[i], frame.wanted, 2), CKR_OK);
        frame.wanted[0].pValue = frame.label;
        frame.wanted[1].pValue = frame.value;
        must("values", p11->C_GetAttributeValue(session, found[i], frame.wanted, 2), CKR_OK);
        if (strncmp(frame.label, MARK, strlen(MARK))) continue;
        must("DATA names its key", strcmp(frame.value + strlen(KEY), frame.label + strlen(MARK)), 0);
        puts(frame.label + strlen(MARK));
    }
}

static void convert(CK_SESSION_HANDLE session, const char *way, const char *id, const char *from, const char *to) {
    CK_OBJECT_HANDLE key = master_key(session, id);
    struct page page = {.length = 0};
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    must("files", in && out, 1);
    int sealing = !strcmp(way, "encrypt");
    if (sealing)
        must("C_GenerateRandom", p11->C_GenerateRandom(session, page.iv, sizeof page.iv), CKR_OK);
    else
        must("IV", fread(page.iv, 1, sizeof page.iv, in), sizeof page.iv);
    page.length = fread(page.bytes, 1, sizeof page.bytes - 16, in);
    (sealing ? seal : unseal)(session, key, &page);
    if (sealing) fwrite(page.iv, 1, sizeof page.iv, out);
    fwrite(page.bytes, 1, page.length, out);
    must("written", fclose(out), 0);
    fclose(in);
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: tde MODULE PIN set-key|list|encrypt|decrypt|guard|work ...\n");
        return 2;
    }
    const char *command = argv[3];
    pin = argv[2];
    load(argv[1]);
    start();
    CK_SESSION_HANDLE session = open_wallet();
    if (!strcmp(command, "set-key")) set_key(session);
    else if (!strcmp(command, "list")) list(session);
    else if (argc == 7) convert(session, command, argv[4], argv[5], argv[6]);
    else if (argc == 5 && !strcmp(command, "guard")) guard(session, argv[4]);
    else if (argc == 5 && !strcmp(command, "work")) session = work(session, argv[4]);
    else return 2;
    must("C_Logout", p11->C_Logout(session), CKR_OK);
    must("C_CloseSession", p11->C_CloseSession(session), CKR_OK);
    must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
    return 0;
}
