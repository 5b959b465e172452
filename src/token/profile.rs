//! The CKO_PROFILE objects that say what this token conforms to (PKCS#11 Profiles 3.1).

use crate::object::{Object, Value};
use cryptoki_sys::*;

const PROFILES: &[(CK_PROFILE_ID, &str)] = &[
    (CKP_BASELINE_PROVIDER, "baseline provider"),
    (CKP_EXTENDED_PROVIDER, "extended provider"),
    (CKP_AUTHENTICATION_TOKEN, "authentication token"),
    (CKP_PUBLIC_CERTIFICATES_TOKEN, "public certificates token"),
];

/// One object for each profile.
pub fn objects() -> impl Iterator<Item = Object> {
    PROFILES.iter().map(|(profile, label)| {
        let no = [CKA_PRIVATE, CKA_MODIFIABLE, CKA_COPYABLE, CKA_DESTROYABLE];
        let mut attributes = vec![
            (CKA_CLASS, Value::Ulong(CKO_PROFILE)),
            (CKA_PROFILE_ID, Value::Ulong(*profile)),
            (CKA_LABEL, Value::Bytes(label.as_bytes().to_vec())),
            (CKA_UNIQUE_ID, Value::Bytes(format!("profile-{profile}").into_bytes())),
            (CKA_TOKEN, Value::Bool(true)),
        ];
        attributes.extend(no.map(|kind| (kind, Value::Bool(false))));
        Object::new(attributes)
    })
}
