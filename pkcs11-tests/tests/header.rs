//! What a C programmer gets: the header against the types, and the exported names. Nothing here calls
//! the module.

use cryptoki_sys::*;
use pkcs11_tests::module_path;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../include")
}

fn header() -> String {
    std::fs::read_to_string(include().join("pkcs11.h")).expect("include/pkcs11.h")
}

/// The functions that the header declares.
fn declared() -> BTreeSet<String> {
    let text = header();
    let name = |line: &str| line.strip_prefix("CK_RV ").and_then(|l| l.split('(').next()).map(str::to_owned);
    text.lines().filter_map(name).collect()
}

#[test]
fn only_the_standards_functions_are_exported() {
    let ran = Command::new("nm").args(["-D", "--defined-only"]).arg(module_path()).output().expect("nm");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let exported: BTreeSet<String> = String::from_utf8_lossy(&ran.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().last().map(str::to_owned))
        .collect();
    assert_eq!(exported, declared());
    assert_eq!(exported.len(), 104, "the functions of PKCS#11 3.2");
}

macro_rules! sizes {
    ($($name:ident)*) => { vec![$((stringify!($name), size_of::<$name>(), align_of::<$name>())),*] };
}

#[test]
fn structures_have_the_size_of_their_types() {
    let sizes = sizes! {
        CK_AES_CBC_ENCRYPT_DATA_PARAMS CK_AES_CCM_PARAMS CK_AES_CTR_PARAMS CK_AES_GCM_PARAMS
        CK_ARIA_CBC_ENCRYPT_DATA_PARAMS CK_ASYNC_DATA CK_ATTRIBUTE CK_CAMELLIA_CBC_ENCRYPT_DATA_PARAMS
        CK_CAMELLIA_CTR_PARAMS CK_CCM_MESSAGE_PARAMS CK_CCM_PARAMS CK_CCM_WRAP_PARAMS CK_CHACHA20_PARAMS
        CK_CMS_SIG_PARAMS CK_C_INITIALIZE_ARGS CK_DATE CK_DERIVED_KEY CK_DES_CBC_ENCRYPT_DATA_PARAMS
        CK_DSA_PARAMETER_GEN_PARAM CK_ECDH1_DERIVE_PARAMS CK_ECDH2_DERIVE_PARAMS CK_ECDH_AES_KEY_WRAP_PARAMS
        CK_ECMQV_DERIVE_PARAMS CK_EDDSA_PARAMS CK_FUNCTION_LIST CK_FUNCTION_LIST_3_0 CK_FUNCTION_LIST_3_2
        CK_GCM_MESSAGE_PARAMS CK_GCM_PARAMS CK_GCM_WRAP_PARAMS CK_GOSTR3410_DERIVE_PARAMS
        CK_GOSTR3410_KEY_WRAP_PARAMS CK_HASH_SIGN_ADDITIONAL_CONTEXT CK_HKDF_PARAMS
        CK_IKE1_EXTENDED_DERIVE_PARAMS CK_IKE1_PRF_DERIVE_PARAMS CK_IKE2_PRF_PLUS_DERIVE_PARAMS
        CK_IKE_PRF_DERIVE_PARAMS CK_INFO CK_INTERFACE CK_KEA_DERIVE_PARAMS CK_KEY_DERIVATION_STRING_DATA
        CK_KEY_WRAP_SET_OAEP_PARAMS CK_KIP_PARAMS CK_MECHANISM CK_MECHANISM_INFO CK_OTP_PARAM
        CK_OTP_PARAMS CK_OTP_SIGNATURE_INFO CK_PBE_PARAMS CK_PKCS5_PBKD2_PARAMS CK_PKCS5_PBKD2_PARAMS2
        CK_PRF_DATA_PARAM CK_RC2_CBC_PARAMS CK_RC2_MAC_GENERAL_PARAMS CK_RC5_CBC_PARAMS
        CK_RC5_MAC_GENERAL_PARAMS CK_RC5_PARAMS CK_RSA_AES_KEY_WRAP_PARAMS CK_RSA_PKCS_OAEP_PARAMS
        CK_RSA_PKCS_PSS_PARAMS CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS CK_SALSA20_CHACHA20_POLY1305_PARAMS
        CK_SALSA20_PARAMS CK_SEED_CBC_ENCRYPT_DATA_PARAMS CK_SESSION_INFO CK_SIGN_ADDITIONAL_CONTEXT
        CK_SKIPJACK_PRIVATE_WRAP_PARAMS CK_SKIPJACK_RELAYX_PARAMS CK_SLOT_INFO CK_SP800_108_COUNTER_FORMAT
        CK_SP800_108_DKM_LENGTH_FORMAT CK_SP800_108_FEEDBACK_KDF_PARAMS CK_SP800_108_KDF_PARAMS
        CK_SSL3_KEY_MAT_OUT CK_SSL3_KEY_MAT_PARAMS CK_SSL3_MASTER_KEY_DERIVE_PARAMS CK_SSL3_RANDOM_DATA
        CK_TLS12_EXTENDED_MASTER_KEY_DERIVE_PARAMS CK_TLS12_KEY_MAT_PARAMS CK_TLS12_MASTER_KEY_DERIVE_PARAMS
        CK_TLS_KDF_PARAMS CK_TLS_MAC_PARAMS CK_TLS_PRF_PARAMS CK_TOKEN_INFO CK_VERSION CK_WTLS_KEY_MAT_OUT
        CK_WTLS_KEY_MAT_PARAMS CK_WTLS_MASTER_KEY_DERIVE_PARAMS CK_WTLS_PRF_PARAMS CK_WTLS_RANDOM_DATA
        CK_X2RATCHET_INITIALIZE_PARAMS CK_X2RATCHET_RESPOND_PARAMS CK_X3DH_INITIATE_PARAMS
        CK_X3DH_RESPOND_PARAMS CK_X9_42_DH1_DERIVE_PARAMS CK_X9_42_DH2_DERIVE_PARAMS CK_X9_42_MQV_DERIVE_PARAMS
        CK_XEDDSA_PARAMS
    };
    let text = header();
    let defined = text.lines().filter(|line| line.starts_with("struct CK_")).count();
    assert_eq!(defined, sizes.len(), "a structure of the header is not in this list, or the other way");
    let mut source = String::from("#include \"pkcs11.h\"\n#include \"strongroom.h\"\n#include <stddef.h>\n");
    for (name, size, align) in sizes {
        writeln!(source, "_Static_assert(sizeof({name}) == {size}, \"size of {name}\");").expect("text");
        writeln!(source, "_Static_assert(_Alignof({name}) == {align}, \"alignment of {name}\");")
            .expect("text");
    }
    source.push_str(concat!(
        "_Static_assert(offsetof(CK_ATTRIBUTE, type) == 0, \"the standard's names of fields\");\n",
        "_Static_assert(CK_UNAVAILABLE_INFORMATION == (CK_ULONG)-1, \"-1\");\n",
        "_Static_assert(CRYPTOKI_VERSION_MAJOR == 3 && CRYPTOKI_VERSION_MINOR == 2, \"3.2\");\n",
        "CK_RV both(CK_FUNCTION_LIST_PTR list, CK_ATTRIBUTE_PTR one) {\n",
        "    return list->C_Finalize(NULL_PTR) + C_Finalize(NULL_PTR) + one->type;\n",
        "}\n",
    ));
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("sizes.c");
    std::fs::write(&file, source).expect("source");
    for standard in ["-std=c11", "-std=c17"] {
        let built = Command::new("cc")
            .args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"])
            .arg(include())
            .arg(&file)
            .status()
            .expect("a C compiler");
        assert!(built.success(), "{standard}");
    }
    let plain = "#include <pkcs11.h>\n#include <strongroom.h>\nint main(void) { return 0; }\n";
    for (compiler, file, standard) in [
        ("cc", "plain.c", "-std=c89"),
        ("cc", "plain.c", "-std=c99"),
        ("c++", "plain.cc", "-std=c++98"),
        ("c++", "plain.cc", "-std=c++20"),
    ] {
        let file = folder.path().join(file);
        std::fs::write(&file, plain).expect("source");
        let built = Command::new(compiler)
            .args([standard, "-Wall", "-Wextra", "-pedantic-errors", "-Werror", "-fsyntax-only", "-I"])
            .arg(include())
            .arg(&file)
            .status()
            .expect("a compiler");
        assert!(built.success(), "{standard}");
    }
}

/// Nothing runs when the process ends or the host closes the module, names bind to our own code first,
/// and no library of the host's is needed but C's own.
#[test]
fn the_library_stays_and_needs_nobody() {
    let ran = Command::new("readelf").args(["-dW"]).arg(module_path()).output().expect("readelf");
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(text.contains("INIT_ARRAY"), "readelf says nothing: {text}");
    assert!(!text.contains("FINI_ARRAY"), "something runs at exit: {text}");
    for flag in ["NODELETE", "SYMBOLIC"] {
        assert!(text.contains(flag), "{flag}: {text}");
    }
    for line in text.lines().filter(|line| line.contains("(NEEDED)")) {
        let known = ["libgcc_s.so", "libm.so", "libc.so", "ld-linux", "libdl.so", "libpthread.so"];
        assert!(known.iter().any(|name| line.contains(name)), "{line}");
    }
}

/// The table of pains names tests that are there.
#[test]
fn the_table_of_pains_names_real_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(folder.join("README.md")).expect("README.md");
    let rows: Vec<&str> =
        text.lines().filter(|line| line.starts_with("| ") && line.contains("`: `")).collect();
    let mut named = 0;
    for row in &rows {
        for part in row.split(';') {
            let Some((file, tests)) = part.split_once("`: `") else { continue };
            let file = file.rsplit('`').next().expect("a file").to_owned() + ".rs";
            let source = std::fs::read_to_string(folder.join("tests").join(&file)).expect(&file);
            for test in tests.split('`').filter(|word| word.contains('_') && !word.contains(' ')) {
                assert!(source.contains(&format!("#[test]\nfn {test}()")), "{file} has no test {test}");
                named += 1;
            }
        }
    }
    assert!(rows.len() > 20 && named > 35, "only {named} tests in {} rows seen", rows.len());
}
