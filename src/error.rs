//! One error type for the whole house: each variant is one CKR code.
//!
//! A lower error is turned into one of these where it happens, with
//! `.map_err(|e| Error::DeviceError.because(e))`: the cause is logged once and only the code
//! travels up. A cause never names a secret. To add a code, add a row to the table below: its name,
//! its number, what it means here, and what to do about it (`strongroom explain`).

use cryptoki_sys::*;
use std::fmt::Display;

pub type Result<T> = std::result::Result<T, Error>;

macro_rules! codes {
    ($($name:ident = $code:ident: $cause:literal, $remedy:literal;)*) => {
        /// Why a call failed, as its PKCS#11 return value (PKCS#11 3.2 §5.1).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Error { $(#[doc = concat!("`", stringify!($code), "`")] $name,)* }

        impl Error {
            /// The CK_RV that C sees.
            pub const fn code(self) -> CK_RV {
                match self { $(Error::$name => $code,)* }
            }

            /// The standard's name of an answer, if it is one of ours.
            pub const fn name_of(code: CK_RV) -> Option<&'static str> {
                match code {
                    CKR_OK => Some("CKR_OK"),
                    $($code => Some(stringify!($code)),)*
                    _ => None,
                }
            }

            /// Every code, in the order of the table.
            pub const ALL: &[Error] = &[$(Error::$name,)*];

            /// What it means: a sentence.
            pub const fn cause(self) -> &'static str {
                match self { $(Error::$name => $cause,)* }
            }

            /// What to do about it: a sentence.
            pub const fn remedy(self) -> &'static str {
                match self { $(Error::$name => $remedy,)* }
            }

            /// The standard's name of the code, for logs and people.
            pub const fn name(self) -> &'static str {
                match self { $(Error::$name => stringify!($code),)* }
            }
        }
    };
}

codes! {
    ActionProhibited = CKR_ACTION_PROHIBITED:
        "The object or the user does not let this happen: CKA_DESTROYABLE, CKA_COPYABLE or CKA_MODIFIABLE is false, or a rule of the token forbids it.",
        "Look at these attributes. They only ever get stricter: make a new object with what you need.";
    AeadDecryptFailed = CKR_AEAD_DECRYPT_FAILED:
        "The message does not open: another key, nonce, tag or additional data, or it was altered.",
        "Check key and parameters; then take the message for forged.";
    ArgumentsBad = CKR_ARGUMENTS_BAD:
        "An argument makes no sense: a NULL pointer, a length that does not fit, a name that is not there, or a configuration that cannot be read.",
        "The log says which one (log_level = \"debug\"); STRONGROOM_TRACE=file shows what the program passed.";
    AttributeReadOnly = CKR_ATTRIBUTE_READ_ONLY:
        "The attribute cannot be set: the token computes it, or it never changes after the object was made.",
        "Leave it out of the template; to have another value, copy the object or make a new one.";
    AttributeSensitive = CKR_ATTRIBUTE_SENSITIVE:
        "The attribute holds key material of a sensitive or unextractable key, which is never shown.",
        "Use the key inside the token, or wrap it if CKA_EXTRACTABLE is true.";
    AttributeTypeInvalid = CKR_ATTRIBUTE_TYPE_INVALID:
        "The object's class or key type has no such attribute.",
        "Check CKA_CLASS and CKA_KEY_TYPE; a program that asks for everything may ignore this.";
    AttributeValueInvalid = CKR_ATTRIBUTE_VALUE_INVALID:
        "An attribute has a value that is not allowed or does not decode.",
        "Look at the values in a trace: lengths, DER encodings, sizes out of range.";
    BufferTooSmall = CKR_BUFFER_TOO_SMALL:
        "The buffer for the result is too small; nothing was lost and the operation goes on.",
        "Call again with the length that was answered.";
    CantLock = CKR_CANT_LOCK:
        "The program wants locks that this library cannot work with.",
        "Set CKF_OS_LOCKING_OK in C_Initialize.";
    CryptokiAlreadyInitialized = CKR_CRYPTOKI_ALREADY_INITIALIZED:
        "C_Initialize was called before in this process.",
        "Harmless: several libraries in one process share the module. Treat it as success.";
    CryptokiNotInitialized = CKR_CRYPTOKI_NOT_INITIALIZED:
        "C_Initialize was not called, or C_Finalize was, perhaps by another thread or library of the process.",
        "Call C_Initialize first; after a fork, in the child too.";
    CurveNotSupported = CKR_CURVE_NOT_SUPPORTED:
        "The elliptic curve is none of P-224, P-256, P-384, P-521, secp256k1, Ed25519 or X25519, or another mechanism's.",
        "Choose one of these in CKA_EC_PARAMS.";
    DataInvalid = CKR_DATA_INVALID:
        "The data is not what the mechanism takes.",
        "Raw RSA and hashes have their own form; use the mechanism that hashes by itself if you have a whole message.";
    DataLenRange = CKR_DATA_LEN_RANGE:
        "The data is too long or too short for the mechanism and the key, or no whole number of blocks.",
        "Use a mechanism that hashes or pads, or a larger key.";
    DeviceError = CKR_DEVICE_ERROR:
        "The token's file is damaged, was altered, or cannot be read.",
        "Run `strongroom verify`: it names what is wrong. Restore that from a backup.";
    DeviceMemory = CKR_DEVICE_MEMORY:
        "No room: the disk or the memory is full. Nothing was changed.",
        "Make room on the token's disk, then try again.";
    DeviceRemoved = CKR_DEVICE_REMOVED:
        "The token's file is gone.",
        "Put the file back, or see where the configuration points: `strongroom doctor`.";
    DomainParamsInvalid = CKR_DOMAIN_PARAMS_INVALID:
        "The curve or domain parameters do not decode or are not supported.",
        "CKA_EC_PARAMS takes a DER object identifier or a curve's name: P-224, P-256, P-384, P-521, secp256k1, Ed25519, X25519.";
    EncryptedDataInvalid = CKR_ENCRYPTED_DATA_INVALID:
        "The ciphertext does not open: another key, IV or additional data, or it was altered.",
        "Check key, mechanism and parameters; then take the data for forged.";
    EncryptedDataLenRange = CKR_ENCRYPTED_DATA_LEN_RANGE:
        "The ciphertext's length is impossible for this mechanism and key.",
        "Check that all of it arrived and that nothing encoded it (base64, hex).";
    FunctionCanceled = CKR_FUNCTION_CANCELED:
        "The call was ended by another one.",
        "Start the operation again.";
    FunctionFailed = CKR_FUNCTION_FAILED:
        "It did not work; most often another process changed the same object first.",
        "Try again; if it stays, the log says why.";
    FunctionNotParallel = CKR_FUNCTION_NOT_PARALLEL:
        "Parallel functions are not part of PKCS#11 any more.",
        "Nothing to do: the standard wants this answer from C_GetFunctionStatus and C_CancelFunction.";
    FunctionNotSupported = CKR_FUNCTION_NOT_SUPPORTED:
        "The function is not built into this version.",
        "ARCHITECTURE.md, \"Not there yet\", lists them; most programs have another way.";
    GeneralError = CKR_GENERAL_ERROR:
        "Something broke inside the library. The session stays usable.",
        "Look into the log, and report it with the line that stands there.";
    HostMemory = CKR_HOST_MEMORY:
        "The process has no memory left; a login needs 64 MiB for a moment.",
        "Give it more, or make the password's price smaller ([slot.kdf] memory_kib) and set it anew.";
    KeyChanged = CKR_KEY_CHANGED:
        "The key of a saved operation state is not the one that was given.",
        "Give C_SetOperationState the key the state was saved with.";
    KeyFunctionNotPermitted = CKR_KEY_FUNCTION_NOT_PERMITTED:
        "The key may not be used for this: its CKA_ flag is false, its owner suspended it, today is outside its dates, a newer version took its place, or an officer asks for a private key.",
        "Log in as the crypto user (CU) who owns the key; look at CKA_SIGN, CKA_DECRYPT, CKA_WRAP and their kind, and at `strongroom key info`.";
    KeyHandleInvalid = CKR_KEY_HANDLE_INVALID:
        "There is no such key, or not for you: handles live in one process, and private keys are seen after the login of their owner only.",
        "Log in, search the key again, and use the handle of this process.";
    KeyIndigestible = CKR_KEY_INDIGESTIBLE:
        "The key's value may not go into a digest.",
        "Only secret keys whose value may be read can be digested.";
    KeyNeeded = CKR_KEY_NEEDED:
        "The saved operation state needs its key.",
        "Give C_SetOperationState the key of the saved operation.";
    KeyNotNeeded = CKR_KEY_NOT_NEEDED:
        "The saved operation state has no key, and one was given.",
        "Pass 0 for both keys.";
    KeyNotWrappable = CKR_KEY_NOT_WRAPPABLE:
        "The key may not be wrapped by this one: it is of the wrong class, CKA_WRAP_WITH_TRUSTED is true and the wrapping key is not trusted, or a rule against attacks stands against it.",
        "Let an officer set CKA_TRUSTED on the wrapping key, or wrap with a trusted one; the log names a rule and its switch.";
    KeySizeRange = CKR_KEY_SIZE_RANGE:
        "The key is too small or too large for the mechanism.",
        "`strongroom mechanism info NAME` shows the sizes.";
    KeyTypeInconsistent = CKR_KEY_TYPE_INCONSISTENT:
        "The mechanism takes keys of another type.",
        "`strongroom mechanism info NAME` shows which.";
    KeyUnextractable = CKR_KEY_UNEXTRACTABLE:
        "CKA_EXTRACTABLE is false: the key never leaves the token, and that cannot be changed.",
        "Make a new key with CKA_EXTRACTABLE true if it must be wrapped; keep this one where it is.";
    MechanismInvalid = CKR_MECHANISM_INVALID:
        "There is no such mechanism, it cannot do this, [slot.allow] does not turn it on, or the key's CKA_ALLOWED_MECHANISMS leaves it out.",
        "`strongroom mechanism list` shows what each can do and needs.";
    MechanismParamInvalid = CKR_MECHANISM_PARAM_INVALID:
        "The mechanism's parameter is missing, of the wrong size, or has values that do not fit.",
        "A trace shows what was passed; IVs, tag lengths and hash names are the usual suspects.";
    NeedToCreateThreads = CKR_NEED_TO_CREATE_THREADS:
        "The program forbids the threads that the library would need.",
        "This library needs none; report it if you see this.";
    NoEvent = CKR_NO_EVENT:
        "No slot event happened.",
        "Nothing to do: slots do not come and go.";
    ObjectHandleInvalid = CKR_OBJECT_HANDLE_INVALID:
        "There is no such object, or not for you: deleted meanwhile, or private and its owner is not logged in.",
        "Log in and search it again.";
    OperationActive = CKR_OPERATION_ACTIVE:
        "An operation of this kind is running in the session.",
        "Finish it, cancel it (C_SessionCancel, or an Init with NULL), or use another session.";
    OperationNotInitialized = CKR_OPERATION_NOT_INITIALIZED:
        "No operation is running: there was no Init, or an error ended it.",
        "Begin with the Init function again; do not go on after an error.";
    ParameterSetNotSupported = CKR_PARAMETER_SET_NOT_SUPPORTED:
        "The parameter set is none of the algorithm's.",
        "CKA_PARAMETER_SET is a CKP_ number of the key's own type, for example CKP_ML_DSA_65.";
    Pending = CKR_PENDING:
        "The change is kept on this host, and the cluster's majority did not confirm it in time.",
        "Do not repeat it: it is sent when the cluster answers again. `strongroom cluster status` counts what is pending.";
    PinExpired = CKR_PIN_EXPIRED:
        "The PIN is too old.",
        "Set a new one: `strongroom user change-password`.";
    PinIncorrect = CKR_PIN_INCORRECT:
        "The name or the password is wrong. The attempt was counted.",
        "A PIN is `name:password`, or the default user's plain password. `strongroom user list` shows names and locks.";
    PinInvalid = CKR_PIN_INVALID:
        "The PIN has bytes that are not allowed.",
        "Use any bytes but control characters.";
    PinLenRange = CKR_PIN_LEN_RANGE:
        "The password is too short or too long.",
        "`strongroom cluster info` shows the bounds; min_pin_length in the configuration sets the lower one.";
    PinLocked = CKR_PIN_LOCKED:
        "Too many wrong passwords: the user is locked, in every process and across restarts.",
        "An officer ends the lock: `strongroom user unlock NAME`, or with a new password: `strongroom user set-password NAME`.";
    PublicKeyInvalid = CKR_PUBLIC_KEY_INVALID:
        "The public key is no point of its curve, or no usable key.",
        "Ask its sender again: do not use it.";
    RandomNoRng = CKR_RANDOM_NO_RNG:
        "There is no random generator.",
        "Never seen here; report it.";
    RandomSeedNotSupported = CKR_RANDOM_SEED_NOT_SUPPORTED:
        "The generator takes no seed.",
        "Harmless: it seeds itself from the operating system.";
    SavedStateInvalid = CKR_SAVED_STATE_INVALID:
        "The saved operation state is none, or of another version, token or login.",
        "Save it anew with C_GetOperationState.";
    SessionAsyncNotSupported = CKR_SESSION_ASYNC_NOT_SUPPORTED:
        "Asynchronous sessions are not built in.",
        "Leave CKF_ASYNC_SESSION away.";
    SessionClosed = CKR_SESSION_CLOSED:
        "The session was closed while the call ran.",
        "Open a new one.";
    SessionCount = CKR_SESSION_COUNT:
        "Too many sessions are open.",
        "Close those you do not need.";
    SessionExists = CKR_SESSION_EXISTS:
        "Sessions are open, so the token cannot be initialised.",
        "Close all sessions of this slot in this program.";
    SessionHandleInvalid = CKR_SESSION_HANDLE_INVALID:
        "There is no such session: closed, or of another process or before C_Finalize.",
        "Open one with C_OpenSession.";
    SessionParallelNotSupported = CKR_SESSION_PARALLEL_NOT_SUPPORTED:
        "CKF_SERIAL_SESSION was not given.",
        "Always set it: the standard keeps it for old times' sake.";
    SessionReadOnly = CKR_SESSION_READ_ONLY:
        "The session may not write.",
        "Open it with CKF_RW_SESSION.";
    SessionReadOnlyExists = CKR_SESSION_READ_ONLY_EXISTS:
        "An officer cannot log in while read-only sessions are open.",
        "Close them, or open them read-write.";
    SessionReadWriteSoExists = CKR_SESSION_READ_WRITE_SO_EXISTS:
        "No read-only session opens while an officer is logged in.",
        "Open it with CKF_RW_SESSION, or log the officer out.";
    SignatureInvalid = CKR_SIGNATURE_INVALID:
        "The signature does not fit data and key.",
        "Check mechanism, hash and salt length; else take it for forged.";
    SignatureLenRange = CKR_SIGNATURE_LEN_RANGE:
        "The signature has the wrong length for the key.",
        "ECDSA signatures are r and s one after the other here; `strongroom crypto verify --signature-format der` takes one in DER.";
    SlotIdInvalid = CKR_SLOT_ID_INVALID:
        "There is no slot of this number.",
        "`strongroom slot list` shows them; the configuration numbers them (id = 0).";
    StateUnsaveable = CKR_STATE_UNSAVEABLE:
        "This operation's state cannot be saved.",
        "Digests and signatures that hash first can; others must be begun anew.";
    TemplateIncomplete = CKR_TEMPLATE_INCOMPLETE:
        "The template lacks an attribute that this kind of object needs.",
        "The log names it; CKA_CLASS, CKA_KEY_TYPE, CKA_EC_PARAMS and CKA_MODULUS_BITS are the usual ones.";
    TemplateInconsistent = CKR_TEMPLATE_INCONSISTENT:
        "The template holds attributes that contradict each other, the kind of object, or a rule against attacks.",
        "The log names them and the rule's switch; take out what the class does not have, and make one key for each use.";
    TokenNotPresent = CKR_TOKEN_NOT_PRESENT:
        "The slot has no token.",
        "Slots here always have one; look at the slot's number.";
    TokenNotRecognized = CKR_TOKEN_NOT_RECOGNIZED:
        "There is no token yet, or its file cannot be opened: the seal key is missing, unreadable or another one's.",
        "New: `strongroom cluster activate`. Else `strongroom doctor` says what is wrong with file and seal key.";
    TokenWriteProtected = CKR_TOKEN_WRITE_PROTECTED:
        "The token's file or folder cannot be written by this user, or this host is cut off from its cluster.",
        "Give the program's user write access to both, or see `strongroom cluster status`; reading and signing work without.";
    UnwrappingKeyHandleInvalid = CKR_UNWRAPPING_KEY_HANDLE_INVALID:
        "There is no such unwrapping key, or not for you.",
        "Log in and search it again.";
    UnwrappingKeySizeRange = CKR_UNWRAPPING_KEY_SIZE_RANGE:
        "The unwrapping key's size does not fit the mechanism.",
        "`strongroom mechanism info NAME` shows the sizes.";
    UnwrappingKeyTypeInconsistent = CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT:
        "The unwrapping key's type does not fit the mechanism.",
        "`strongroom mechanism info NAME` shows which types do.";
    UserAlreadyLoggedIn = CKR_USER_ALREADY_LOGGED_IN:
        "Someone of this role is logged in already: a login counts for all sessions of a process.",
        "Go on, or log out first.";
    UserAnotherAlreadyLoggedIn = CKR_USER_ANOTHER_ALREADY_LOGGED_IN:
        "The other role is logged in: officer and user exclude each other in a process.",
        "Log out first.";
    UserNotLoggedIn = CKR_USER_NOT_LOGGED_IN:
        "Nobody is logged in, or not who may do this: users own and use keys, officers manage users.",
        "Log in with the right role; a deleted user's login is over.";
    UserPinNotInitialized = CKR_USER_PIN_NOT_INITIALIZED:
        "The slot's default user does not exist yet.",
        "An officer makes him: `strongroom user create user`, or C_InitPIN. Others log in as `name:password`.";
    UserTooManyTypes = CKR_USER_TOO_MANY_TYPES:
        "More different users at once than allowed.",
        "One login for a process and slot: log out first.";
    UserTypeInvalid = CKR_USER_TYPE_INVALID:
        "The user type is none of CKU_SO, CKU_USER and CKU_CONTEXT_SPECIFIC.",
        "Use CKU_USER for crypto users, CKU_SO for officers.";
    WrappedKeyInvalid = CKR_WRAPPED_KEY_INVALID:
        "The wrapped key does not open or is no such key: another wrapping key or mechanism, or it was altered.",
        "Check wrapping key, mechanism, parameters, and CKA_KEY_TYPE of the template.";
    WrappedKeyLenRange = CKR_WRAPPED_KEY_LEN_RANGE:
        "The wrapped key's length is impossible for the mechanism.",
        "Check that all of it arrived and that nothing encoded it.";
    WrappingKeyHandleInvalid = CKR_WRAPPING_KEY_HANDLE_INVALID:
        "There is no such wrapping key, or not for you.",
        "Log in and search it again.";
    WrappingKeySizeRange = CKR_WRAPPING_KEY_SIZE_RANGE:
        "The wrapping key's size does not fit the mechanism, or it is weaker than the key that it is to wrap.",
        "`strongroom mechanism info NAME` shows the sizes; wrap under a key as strong as the other (SP 800-57).";
    WrappingKeyTypeInconsistent = CKR_WRAPPING_KEY_TYPE_INCONSISTENT:
        "The wrapping key's type does not fit the mechanism.",
        "`strongroom mechanism info NAME` shows which types do.";
}

impl Error {
    /// Logs why, once, and answers the code itself. `cause` must not name a secret.
    #[must_use]
    pub fn because(self, cause: impl Display) -> Self {
        log::warn!("{}: {cause}", self.name());
        self
    }
}

/// Text from outside as it may be shown and logged: controls, line breaks, and what turns the direction of
/// writing or is not to be seen are escaped.
pub fn printable(text: &str) -> String {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if hides(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

impl Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Error {}
