//! The call trace: a child process does every kind of call with `STRONGROOM_TRACE` set; the file says
//! what it did and tells no secret.

use cryptoki_sys::*;
use pkcs11_tests::keys::{P256, bytes, no, number, yes};
use pkcs11_tests::{Module, PIN, RW, SO_PIN, call, cheap_config};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::ptr::null_mut;

const KEY: &[u8; 32] = b"\x01key-bytes-that-must-not-be-seen";
const PLAIN: &[u8] = b"plaintext-that-must-not-be-seen!";
const OBJECT: &[u8] = b"a-data-object-that-is-nobodys";
const IV: &[u8; 12] = b"iv-not-shown";

fn mechanism(kind: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM { mechanism: kind, pParameter: null_mut(), ulParameterLen: 0 }
}

/// Runs the role below in a process of its own.
fn role(config: &Path, trace: Option<&Path>) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "role_client", "--ignored", "--nocapture"]).env("STRONGROOM_CONFIG", config);
    command.env_remove("STRONGROOM_TRACE");
    if let Some(trace) = trace {
        command.env("STRONGROOM_TRACE", trace);
    }
    let ran = command.output().expect("the role");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    ran
}

/// Prints every secret it sees, so that the test can look for them.
#[test]
#[ignore = "a role of the tests below"]
fn role_client() {
    let module = Module::load();
    assert_eq!(call!(module, C_Initialize, null_mut()), CKR_OK);
    module.init_token(SO_PIN).expect("C_InitToken");
    let session = module.session(RW).expect("session");
    module.login(session, CKU_SO, SO_PIN).expect("officer");
    module.init_pin(session, PIN).expect("C_InitPIN");
    assert_eq!(call!(module, C_Logout, session), CKR_OK);
    assert_eq!(module.login(session, CKU_USER, b"wrong-pin-1"), Err(CKR_PIN_INCORRECT));
    let mut both = [b"user:", PIN].concat();
    let (pin, length) = (both.as_mut_ptr(), both.len() as CK_ULONG);
    assert_eq!(call!(module, C_Login, session, CKU_USER, pin, length), CKR_OK);
    objects(&module, session);
    work(&module, session);
    forks(&module, session);
    assert_eq!(call!(module, C_GetSessionInfo, 4711, null_mut()), CKR_SESSION_HANDLE_INVALID);
    assert_eq!(call!(module, C_AsyncGetID, 1, null_mut(), null_mut()), CKR_FUNCTION_NOT_SUPPORTED);
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
}

fn objects(module: &Module, session: CK_SESSION_HANDLE) {
    let key = [
        number(CKA_CLASS, CKO_SECRET_KEY),
        number(CKA_KEY_TYPE, CKK_AES),
        bytes(CKA_VALUE, KEY),
        bytes(CKA_LABEL, "imported\nkey".as_bytes()),
        yes(CKA_EXTRACTABLE),
        no(CKA_SENSITIVE),
        yes(CKA_ENCRYPT),
    ];
    let key = module.create(session, &key).expect("imported");
    // Read in the clear by its owner, who may; the trace may not.
    assert_eq!(module.attribute(session, key, CKA_VALUE).expect("value"), KEY);
    let object = [number(CKA_CLASS, CKO_DATA), bytes(CKA_VALUE, OBJECT), bytes(CKA_APPLICATION, b"tests")];
    let object = module.create(session, &object).expect("data object");
    assert_eq!(module.attribute(session, object, CKA_VALUE).expect("value"), OBJECT);
    let wrong = [number(CKA_CLASS, CKO_SECRET_KEY), bytes(0x8000_4711, b"x")];
    assert_eq!(module.create(session, &wrong), Err(CKR_ATTRIBUTE_TYPE_INVALID));
    assert_eq!(module.find(session, &[bytes(CKA_LABEL, b"nobody")]).expect("find"), []);
    let mut gcm = CK_GCM_PARAMS {
        pIv: IV.as_ptr().cast_mut(),
        ulIvLen: 12,
        ulIvBits: 96,
        pAAD: PLAIN.as_ptr().cast_mut(),
        ulAADLen: 5,
        ulTagBits: 128,
    };
    let mut gcm = CK_MECHANISM {
        mechanism: CKM_AES_GCM,
        pParameter: (&raw mut gcm).cast(),
        ulParameterLen: size_of::<CK_GCM_PARAMS>() as CK_ULONG,
    };
    assert_eq!(call!(module, C_EncryptInit, session, &mut gcm, key), CKR_OK);
    let (mut out, mut length) = ([0u8; 64], 0);
    let (data, size) = (PLAIN.as_ptr().cast_mut(), PLAIN.len() as CK_ULONG);
    assert_eq!(call!(module, C_Encrypt, session, data, size, null_mut(), &mut length), CKR_OK);
    length = 3;
    assert_eq!(
        call!(module, C_Encrypt, session, data, size, out.as_mut_ptr(), &mut length),
        CKR_BUFFER_TOO_SMALL
    );
    assert_eq!(call!(module, C_Encrypt, session, data, size, out.as_mut_ptr(), &mut length), CKR_OK);
    println!("secret {:02x?}", &out[..8]);
}

fn work(module: &Module, session: CK_SESSION_HANDLE) {
    let pair = module.ec(session, P256);
    let (mut signature, mut length) = ([0u8; 64], 64);
    let mut pss = CK_RSA_PKCS_PSS_PARAMS { hashAlg: CKM_SHA256, mgf: CKG_MGF1_SHA256, sLen: 20 };
    let mut wrong = CK_MECHANISM {
        mechanism: CKM_RSA_PKCS_PSS,
        pParameter: (&raw mut pss).cast(),
        ulParameterLen: size_of::<CK_RSA_PKCS_PSS_PARAMS>() as CK_ULONG,
    };
    assert_eq!(call!(module, C_SignInit, session, &mut wrong, pair.private), CKR_KEY_TYPE_INCONSISTENT);
    assert_eq!(
        call!(module, C_SignInit, session, &mut mechanism(0x8000_0815), pair.private),
        CKR_MECHANISM_INVALID
    );
    assert_eq!(
        call!(module, C_VerifyRecoverInit, session, &mut mechanism(CKM_RSA_PKCS), pair.public),
        CKR_KEY_TYPE_INCONSISTENT
    );
    let data = PLAIN.as_ptr().cast_mut();
    assert_eq!(call!(module, C_SignInit, session, &mut mechanism(CKM_ECDSA), pair.private), CKR_OK);
    assert_eq!(call!(module, C_Sign, session, data, 32, signature.as_mut_ptr(), &mut length), CKR_OK);
    assert_eq!(call!(module, C_VerifyInit, session, &mut mechanism(CKM_ECDSA), pair.public), CKR_OK);
    assert_eq!(call!(module, C_Verify, session, data, 32, signature.as_mut_ptr(), length), CKR_OK);
    let mut digest = [0u8; 32];
    assert_eq!(call!(module, C_DigestInit, session, &mut mechanism(CKM_SHA256)), CKR_OK);
    assert_eq!(call!(module, C_DigestUpdate, session, data, 32), CKR_OK);
    length = 32;
    assert_eq!(call!(module, C_DigestFinal, session, digest.as_mut_ptr(), &mut length), CKR_OK);
    let mut random = [0u8; 16];
    assert_eq!(call!(module, C_GenerateRandom, session, random.as_mut_ptr(), 16), CKR_OK);
    // An unaligned template and mechanism: the trace keeps the rules of the calls.
    let mut room = [0u8; size_of::<CK_MECHANISM>() + 1];
    let odd: *mut CK_MECHANISM = room.as_mut_ptr().wrapping_add(1).cast();
    // SAFETY: there is room for a mechanism behind the odd address.
    unsafe { odd.write_unaligned(mechanism(CKM_SHA512)) };
    assert_eq!(call!(module, C_DigestInit, session, odd), CKR_OK);
}

/// Runs `work` in a forked child, which must answer true; gives the child's number.
fn in_child(work: impl FnOnce() -> bool) -> libc::pid_t {
    // SAFETY: the child only calls the module and the system, and leaves.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let well = work();
        // SAFETY: ends the child, nothing else.
        unsafe { libc::_exit(i32::from(!well)) };
    }
    let mut status = -1;
    // SAFETY: the child is ours.
    assert_eq!((unsafe { libc::waitpid(child, &mut status, 0) }, status), (child, 0));
    child
}

/// The child's calls are in the file too, under its own number; also those of one that closed every
/// descriptor, as daemons do, and whose own file has the number now: nothing may go there.
fn forks(module: &Module, session: CK_SESSION_HANDLE) {
    let child = in_child(|| call!(module, C_SessionCancel, session, CKF_DIGEST) == CKR_OK);
    println!("child {child}");
    let daemon = in_child(|| {
        for descriptor in 3..256 {
            // SAFETY: closes what this child has; nothing here uses it again.
            unsafe { libc::close(descriptor) };
        }
        let own: Vec<_> = (0..20).map(|_| tempfile::tempfile().expect("a file of its own")).collect();
        let code = call!(module, C_SessionCancel, session, CKF_DIGEST);
        // Opens the token's file again, as another process.
        let found = module.find(session, &[bytes(CKA_LABEL, b"nobody"), yes(CKA_TOKEN)]);
        code == CKR_OK
            && found == Ok(vec![])
            && own.iter().all(|file| file.metadata().is_ok_and(|own| own.len() == 0))
    });
    println!("child {daemon}");
}

fn contains(text: &[u8], secret: &[u8]) -> bool {
    text.windows(secret.len()).any(|window| window == secret)
}

/// That no secret is there, as it is or in hexadecimal.
fn tells_no_secret(text: &[u8]) {
    for secret in [SO_PIN, PIN, b"wrong-pin-1", &KEY[1..], &PLAIN[..8], OBJECT, IV] {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = String::from_utf8_lossy(secret);
        assert!(!contains(text, secret), "{name} is in the trace");
        assert!(!contains(text, hex.as_bytes()), "{name} is in the trace in hexadecimal");
    }
}

/// Lines without the time, process and thread before, and the time taken after.
fn calls(text: &str) -> Vec<&str> {
    let call = |line: &'_ str| -> usize { line.find("C_").unwrap_or_else(|| panic!("no call: {line}")) };
    text.lines()
        .map(|line| {
            let rest = line[call(line)..].strip_suffix(" us").unwrap_or_else(|| panic!("no time: {line}"));
            rest.rsplit_once(' ').expect("a number").0
        })
        .collect()
}

const LINES: &[&str] = &[
    "C_GetInterface(pInterfaceName=Some(\"PKCS 11\"), pVersion=3.2, ppInterface=*, flags=0x0) = CKR_OK",
    "C_Initialize(pInitArgs=NULL) = CKR_OK",
    "C_InitToken(slotID=0, pPin=*, ulPinLen=*, pLabel=\"test                            \") = CKR_OK",
    "C_OpenSession(slotID=0, flags=0x6, pApplication=NULL, Notify=NULL, phSession=*) = CKR_OK phSession=1",
    "C_Login(hSession=1, userType=CKU_SO, pPin=*, ulPinLen=*) = CKR_OK",
    "C_Login(hSession=1, userType=CKU_USER, pPin=*, ulPinLen=*) = CKR_PIN_INCORRECT",
    "CKA_VALUE=32 bytes, CKA_LABEL=696d706f727465640a6b6579, CKA_EXTRACTABLE=true, CKA_SENSITIVE=false",
    "pTemplate=CKA_VALUE NULL, ulCount=1) = CKR_OK pTemplate=CKA_VALUE=32 bytes",
    "pTemplate=CKA_VALUE 32, ulCount=1) = CKR_OK pTemplate=CKA_VALUE=32 bytes",
    "pTemplate=[CKA_CLASS=CKO_DATA, CKA_VALUE=29 bytes, CKA_APPLICATION=\"tests\"], ulCount=3, phObject=*) = CKR_OK phObject=",
    "0x80004711: CKR_ATTRIBUTE_TYPE_INVALID], ulCount=2, phObject=*) = CKR_ATTRIBUTE_TYPE_INVALID",
    "C_FindObjects(hSession=1, phObject=*, ulMax=7, pulCount=*) = CKR_OK phObject=[] pulCount=0",
    "pMechanism=CKM_AES_GCM (IV 12 bytes, AAD 5 bytes, tag 128 bits), hKey=",
    "C_Encrypt(hSession=1, pData=*, ulDataLen=32, pResult=NULL, pulResultLen=*) = CKR_OK pulResultLen=48",
    "pResult=*, pulResultLen=3) = CKR_BUFFER_TOO_SMALL pulResultLen=48",
    "pResult=*, pulResultLen=48) = CKR_OK pulResultLen=48",
    "CKA_EC_PARAMS=06082a8648ce3d030107",
    "pMechanism=CKM_RSA_PKCS_PSS (Sha256, MGF1 Sha256, salt 20), hKey=",
    "pMechanism=0x80000815 (0 bytes: CKR_MECHANISM_INVALID), hKey=",
    "C_VerifyRecoverInit(hSession=1, pMechanism=CKM_RSA_PKCS, hKey=",
    "C_Verify(hSession=1, pData=*, ulDataLen=32, pSignature=*, ulSignatureLen=64) = CKR_OK",
    "C_DigestInit(hSession=1, pMechanism=CKM_SHA512) = CKR_OK",
    "C_GenerateRandom(hSession=1, pRandom=*, ulRandomLen=16) = CKR_OK",
    "C_SessionCancel(hSession=1, flags=0x400) = CKR_OK",
    "C_GetSessionInfo(hSession=4711, pInfo=NULL) = CKR_SESSION_HANDLE_INVALID",
    "C_AsyncGetID(a=1, b=NULL, c=NULL) = CKR_FUNCTION_NOT_SUPPORTED",
    "C_Finalize(pReserved=NULL) = CKR_OK",
];

#[test]
fn the_trace_says_what_was_done_and_no_secret() {
    let (folder, config) = cheap_config();
    let trace = folder.path().join("trace");
    let ran = role(&config, Some(&trace));
    let mode = std::fs::metadata(&trace).expect("the trace").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read(&trace).expect("the trace");
    tells_no_secret(&text);
    let text = String::from_utf8(text).expect("text");
    let calls = calls(&text);
    for line in LINES {
        assert!(calls.iter().any(|call| call.contains(line)), "not in the trace: {line}\n{text}");
    }
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let children: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("child ")).collect();
    assert_eq!(children.len(), 2);
    for child in children {
        let its = |line: &&str| line.contains(&format!(" {child}.{child} C_SessionCancel("));
        assert_eq!(text.lines().filter(its).count(), 1, "the forked child {child} is not in the trace");
    }
}

#[test]
fn the_configuration_can_ask_and_several_processes_append() {
    let (folder, config) = cheap_config();
    let text = std::fs::read_to_string(&config).expect("configuration");
    std::fs::write(&config, format!("trace = \"calls\"\n{text}")).expect("configuration");
    let lines = || std::fs::read_to_string(folder.path().join("calls")).expect("the trace").lines().count();
    role(&config, None);
    let once = lines();
    assert!(once > 30, "{once} lines");
    std::fs::remove_file(folder.path().join("token.db")).expect("a new start");
    role(&config, None);
    assert_eq!(lines(), 2 * once);
}

/// A trace that cannot be written is said, and costs no call.
#[test]
fn a_trace_without_a_place_is_said_once() {
    let (folder, config) = cheap_config();
    let ran = role(&config, Some(&folder.path().join("no/such/folder")));
    let words = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(words.matches("strongroom: trace ").count(), 1, "{words}");
}
