//! Bring your own key, with openssl on the other side: the standard recipe of OAEP and AES key wrap with
//! padding, both ways, and what must be refused.

mod vault;

use vault::Vault;

const MADE: [(&str, &str, &str, &str); 3] = [
    ("rsa-private", "RSA -pkeyopt rsa_keygen_bits:2048", "sha256-rsa-pkcs", "rsa"),
    ("ec-private", "EC -pkeyopt ec_paramgen_curve:P-256", "ecdsa-sha256", "ec"),
    ("ed25519-private", "ED25519", "eddsa", "ed"),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A transport key, and its public half in `transport.pem`.
fn transport(vault: &Vault, label: &str) {
    vault.said(&["key", "transport", "create", "--label", label]);
    // Nothing that is there is overwritten.
    let _ = std::fs::remove_file(vault.path("transport.pem"));
    vault.said(&["key", "transport", "export", label, "--path", "transport.pem"]);
}

/// The customer's side by openssl alone: a file wrapped for `transport.pem`.
fn wrap_by_openssl(vault: &Vault, file: &str, hash: &str, bytes: usize) -> Vec<u8> {
    vault.openssl(&format!("rand -out between {bytes}"));
    let between = hex(&vault.read("between"));
    let oaep =
        format!("-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:{hash} -pkeyopt rsa_mgf1_md:{hash}");
    vault.openssl(&format!("pkeyutl -encrypt -pubin -inkey transport.pem {oaep} -in between -out first"));
    let cipher = format!("-id-aes{}-wrap-pad", bytes * 8);
    vault.openssl(&format!("enc {cipher} -iv A65959A6 -K {between} -in {file} -out second"));
    [vault.read("first"), vault.read("second")].concat()
}

#[test]
fn what_openssl_wraps_comes_in() {
    let vault = Vault::new();
    transport(&vault, "way");
    for ((class, algorithm, mechanism, name), (hash, bytes)) in
        MADE.into_iter().zip([("sha256", 32), ("sha1", 16), ("sha512", 24)])
    {
        vault.openssl(&format!("genpkey -algorithm {algorithm} -out {name}.pem"));
        vault.openssl(&format!("pkcs8 -topk8 -nocrypt -in {name}.pem -outform DER -out {name}.der"));
        vault.openssl(&format!("pkey -inform DER -in {name}.der -pubout -out {name}.pub"));
        let blob = wrap_by_openssl(&vault, &format!("{name}.der"), hash, bytes);
        vault.write("blob", blob);
        let import = ["key", "import", "wrapped", "blob", "--transport", "way", "--key-type-class", class];
        vault.said(&[&import[..], &["--label", name, "--hash-function", hash]].concat());
        vault.signs(name, mechanism, &format!("{name}.pub"));
        let info = vault.json(&["key", "info", name]);
        for (attribute, is) in [
            ("local", false),
            ("always_sensitive", false),
            ("never_extractable", false),
            ("extractable", false),
            ("sensitive", true),
        ] {
            assert_eq!(info[attribute], is, "{name} {attribute}");
        }
        assert_eq!(
            vault.said(&["key", "generate-file", name]).as_bytes(),
            vault.read(&format!("{name}.pub")).trim_ascii()
        );
    }
    // An AES key: what it encrypts, openssl decrypts.
    vault.openssl("rand -out aes 32");
    vault.write("blob", wrap_by_openssl(&vault, "aes", "sha256", 32));
    let import = ["key", "import", "wrapped", "blob", "--transport", "way", "--key-type-class", "aes"];
    vault.said(&[&import[..], &["--label", "aes", "--delete-transport"]].concat());
    let iv = "00112233445566778899aabbccddeeff";
    let encrypt =
        ["crypto", "encrypt", "-m", "aes-cbc-pad", "--key-label", "aes", "--data", "text", "--iv", iv];
    vault.said(&[&encrypt[..], &["--out", "sealed"]].concat());
    let key = hex(&vault.read("aes"));
    assert_eq!(vault.openssl(&format!("enc -d -aes-256-cbc -K {key} -iv {iv} -in sealed")), b"text");
    let left = vault.keys();
    assert!(left.iter().all(|key| key["label"] != "way"), "the transport key is gone: {left:?}");
    assert_eq!(vault.events("unwrap").len(), 4);
    assert_eq!(vault.events("destroy").len(), 2);
    let unwrapped = &vault.events("unwrap")[0];
    assert_eq!(unwrapped["details"]["mechanism"], "CKM_RSA_AES_KEY_WRAP");
    assert!(unwrapped["objects"].as_array().is_some_and(|objects| objects.len() == 1));
}

#[test]
fn what_the_token_wraps_openssl_opens() {
    let vault = Vault::new();
    vault.openssl("genrsa -out receiver.key 3072");
    vault.openssl("rsa -in receiver.key -pubout -out receiver.pem");
    vault.said(&["key", "import", "pem", "receiver.pem", "--attributes", "wrap=true"]);
    let pair = ["key", "generate-asymmetric-pair", "ec", "--curve", "p256", "--public-label", "out.pub"];
    vault
        .said(&[&pair[..], &["--private-label", "out", "--private-attributes", "extractable=true"]].concat());
    let wrap = ["key", "wrap", "rsa-aes", "--payload", "out", "--wrapping", "receiver", "--path", "wrapped"];
    // What came from outside wraps when an officer says that it may.
    assert!(vault.refused(1, &wrap).contains("foreign_wrapping_keys"));
    let receiver = || vault.json(&["key", "info", "receiver", "--class", "public"]);
    assert_eq!(receiver()["trusted"], false);
    let trust = ["key", "set-attribute", "receiver", "--class", "public", "--name", "trusted", "--value"];
    vault.said(&[&trust[..], &["true"]].concat());
    assert_eq!(receiver()["trusted"], true);
    vault.said(&wrap);
    let wrapped = vault.read("wrapped");
    assert!(vault.refused(1, &wrap).contains("File exists"));
    std::fs::remove_file(vault.path("wrapped")).expect("remove");
    vault.write("first", &wrapped[..384]);
    vault.write("second", &wrapped[384..]);
    let oaep = "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256";
    vault.openssl(&format!("pkeyutl -decrypt -inkey receiver.key {oaep} -in first -out between"));
    let between = hex(&vault.read("between"));
    vault.openssl(&format!("enc -d -id-aes256-wrap-pad -iv A65959A6 -K {between} -in second -out out.der"));
    let opened = vault.openssl("pkey -inform DER -in out.der -pubout");
    assert_eq!(
        String::from_utf8(opened).expect("PEM").trim_end(),
        vault.said(&["key", "generate-file", "out"])
    );
    assert_eq!(vault.events("wrap").len(), 1);
    // Another owner's key, an unextractable one, and a key that may not wrap.
    let sealed = ["key", "generate-symmetric", "aes", "--label", "sealed", "--key-length-bytes", "32"];
    vault.said(&[&sealed[..], &["--share-with", "bob"]].concat());
    let aes = ["key", "wrap", "aes-zero-pad", "--wrapping", "sealed", "--payload"];
    assert!(vault.refused(1, &[&aes[..], &["out"]].concat()).contains("CKR_KEY_FUNCTION_NOT_PERMITTED"));
    let rsa = ["key", "wrap", "rsa-oaep", "--wrapping", "receiver", "--payload", "sealed"];
    assert!(vault.refused(1, &rsa).contains("CKR_KEY_UNEXTRACTABLE"));
    assert_eq!(vault.events("wrap").len(), 1);
    // Trusted keys only, and trust is an officer's to take back.
    vault.said(&["key", "set-attribute", "out", "--name", "wrap-with-trusted", "--value", "true"]);
    vault.said(&wrap);
    vault.refused(1, &[&trust[..], &["false", "--user", "user"]].concat());
}

#[test]
fn a_customer_needs_no_token() {
    let vault = Vault::new();
    transport(&vault, "way");
    let customer = tempfile::tempdir().expect("temporary folder");
    let alone = |words: &[&str]| {
        let mut command = vault.command(words);
        let ran =
            command.current_dir(customer.path()).env_remove("STRONGROOM_CONFIG").env("HOME", customer.path());
        let ran = ran.output().expect("strongroom");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    };
    std::fs::copy(vault.path("transport.pem"), customer.path().join("transport.pem")).expect("copy");
    vault.openssl(
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -aes256 -pass pass:secret -out own.pem",
    );
    vault.openssl("pkey -in own.pem -passin pass:secret -pubout -out own.pub");
    let own = vault.path("own.pem");
    let blob = vault.path("blob");
    let (own, blob) = (own.to_str().expect("path"), blob.to_str().expect("path"));
    alone(&[
        "key",
        "wrap-for",
        "transport.pem",
        own,
        "--path",
        blob,
        "--hash-function",
        "sha384",
        "--mgf",
        "sha1",
    ]);
    let files = std::fs::read_dir(customer.path()).expect("folder").count();
    assert_eq!(files, 1, "nothing was made on the customer's side");
    let import = ["key", "import", "wrapped", "blob", "--transport", "way", "--key-type-class", "ec-private"];
    let import =
        [&import[..], &["--label", "own", "--share-with", "bob", "--hash-function", "sha384"]].concat();
    vault.refused(1, &import);
    let import = [&import[..], &["--mgf", "sha1"]].concat();
    vault.said(&import);
    vault.signs("own", "ecdsa-sha256", "own.pub");
    assert_eq!(vault.json(&["key", "info", "own", "--user", "bob"])["owner"], "user");
    // Again: it is there.
    assert!(vault.refused(1, &import).contains("It is there already, as own"));
    let again = vault.json(&[&import[..], &["--skip-existing"]].concat());
    assert_eq!(again["imported"], false);
    assert_eq!(vault.keys().iter().filter(|key| key["label"] == "own").count(), 2);
    // A secret, in hex.
    std::fs::write(customer.path().join("key.hex"), "00112233 44556677\n8899aabbccddeeff\n").expect("file");
    std::fs::remove_file(blob).expect("remove");
    alone(&["key", "wrap-for", "transport.pem", "key.hex", "--secret", "--encoding", "hex", "--path", blob]);
    let import = ["key", "import", "wrapped", "blob", "--transport", "way", "--key-type-class", "aes"];
    vault.said(&import);
    assert_eq!(vault.json(&["key", "info", "blob"])["size"], 128);
}

#[test]
fn what_does_not_fit_stays_out() {
    let vault = Vault::new();
    transport(&vault, "first");
    vault.openssl("rand -out aes 32");
    let blob = wrap_by_openssl(&vault, "aes", "sha256", 32);
    vault.write("blob", &blob);
    transport(&vault, "second");
    let before = vault.keys();
    let import = |transport: &str, class: &str| {
        let words = ["key", "import", "wrapped", "blob", "--transport", transport, "--key-type-class", class];
        let said = vault.refused(1, &words);
        assert!(
            said.contains("nothing was imported") || said.contains("empty"),
            "{transport} {class}: {said}"
        );
        said
    };
    import("second", "aes");
    for class in ["rsa-private", "ec-private", "ed25519-private"] {
        import("first", class);
    }
    for place in [0, 200, 384, blob.len() - 1] {
        let mut changed = blob.clone();
        changed[place] ^= 4;
        vault.write("blob", &changed);
        import("first", "aes");
    }
    for length in [0, 1, 383, 384, blob.len() - 8, blob.len() - 1] {
        vault.write("blob", &blob[..length]);
        import("first", "aes");
    }
    vault.write("blob", [&blob[..], &[0; 8]].concat());
    import("first", "aes");
    assert_eq!(vault.keys(), before);
    // Past its last day.
    vault.write("blob", &blob);
    vault.said(&["key", "set-attribute", "first", "--name", "start-date", "--value", "2020-01-01"]);
    vault.said(&["key", "set-attribute", "first", "--name", "end-date", "--value", "2020-01-02"]);
    let after = vault.keys();
    assert!(import("first", "aes").contains("ended on 2020-01-02"));
    assert_eq!(vault.keys(), after);
    // A transport key does nothing else.
    for words in [["sign", "sha256-rsa-pkcs"], ["decrypt", "rsa-pkcs-oaep"]] {
        let words = ["crypto", words[0], "-m", words[1], "--key-label", "second", "--data-path", "aes"];
        assert!(vault.refused(1, &words).contains("CKR_KEY_FUNCTION_NOT_PERMITTED"));
    }
    let info = vault.json(&["key", "info", "second"]);
    assert_eq!(
        (info["never_extractable"].as_bool(), &info["uses"]),
        (Some(true), &serde_json::json!(["unwrap"]))
    );
    vault.refused(2, &["key", "transport", "create", "--label", "small", "--modulus-size-bits", "2048"]);
}
