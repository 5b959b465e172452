//! What the file may say, and what is refused.

use super::file::File;
use super::place::find;
use super::*;

fn parse(text: &str) -> Result<Config> {
    let file: File = toml::from_str(text).map_err(|_| Error::ArgumentsBad)?;
    Config::from_file(file, Path::new("/base"))
}

#[test]
fn nothing_said_is_one_slot() {
    let config = parse("").unwrap();
    assert_eq!((config.slots.len(), config.slots[0].id), (1, 0));
    assert_eq!(config.slots[0].seal, SealConfig::KeyFile(config.slots[0].path.with_extension("seal")));
}

#[test]
fn paths_are_relative_to_the_file() {
    let config =
        parse("[[slot]]\npath = 't.db'\n[slot.seal]\nkey_file = 'k'\n[[slot]]\nid = 7\npath = '/x'").unwrap();
    assert_eq!(config.slots[0].path, Path::new("/base/t.db"));
    assert_eq!(config.slots[0].seal, SealConfig::KeyFile("/base/k".into()));
    assert_eq!((config.slots[1].id, &*config.slots[1].path), (7, Path::new("/x")));
}

#[test]
fn reset_policies() {
    let policy = |text: &str| parse(&format!("[[slot]]\n{text}")).unwrap().slots[0].reset_policy;
    assert_eq!(policy(""), ResetPolicy::Keeps);
    assert_eq!(policy("reset_policy = 'destroys'"), ResetPolicy::Destroys);
    assert_eq!(policy("reset_policy = 'quorum'"), ResetPolicy::Quorum { threshold: 2 });
    let three = policy("reset_policy = 'quorum'\nreset_threshold = 3");
    assert_eq!(three, ResetPolicy::Quorum { threshold: 3 });
}

#[test]
fn one_seal_of_three_kinds() {
    let seal = |text: &str| parse(&format!("[[slot]]\n[slot.seal]\n{text}")).map(|c| c.slots[0].seal.clone());
    assert_eq!(seal("key_file = 'k'"), Ok(SealConfig::KeyFile("/base/k".into())));
    let file = PassphraseSource::File("/base/p".into());
    assert_eq!(seal("passphrase_file = 'p'"), Ok(SealConfig::Passphrase(file)));
    assert_eq!(seal("credential = 'token.seal'"), SealConfig::credential("token.seal"));
    for wrong in
        ["credential = 'k'\nkey_file = 'k'", "credential = ''", "credential = '../k'", "credential = 'a/b'"]
    {
        assert_eq!(seal(wrong), Err(Error::ArgumentsBad), "{wrong}");
    }
}

#[test]
fn mistakes_are_named() {
    for wrong in [
        "slots = 1",
        "[[slot]]\nid = -1",
        "[[slot]]\nmax_failures = 0",
        "[[slot]]\nid=1\n[[slot]]\nid=1",
        "[[slot]]\nreset_policy = 'none'",
        "[[slot]]\nreset_threshold = 2",
        "[[slot]]\nreset_policy = 'quorum'\nreset_threshold = 1",
    ] {
        assert_eq!(parse(wrong).err(), Some(Error::ArgumentsBad), "{wrong}");
    }
}

#[test]
fn a_cluster_is_mutual_tls_and_quorum() {
    let text =
        "[[slot]]\n[slot.cluster]\nendpoints = ['https://a:1']\nca = 'ca'\ncertificate = '/c'\nkey = 'k'\n";
    let cluster = parse(text).unwrap().slots[0].cluster.clone().unwrap();
    assert_eq!((&*cluster.ca, &*cluster.certificate), (Path::new("/base/ca"), Path::new("/c")));
    assert_eq!(
        (cluster.durability, &*cluster.prefix, cluster.user),
        (Durability::Quorum, "strongroom/", None)
    );
    assert!(cluster.background);
    let out = "metrics = '10.0.0.1:9464'";
    for more in ["user = 'u'", "durability = 'some'", "quorum_timeout_ms = 1", "metrics = 'here'", out] {
        assert!(parse(&format!("{text}{more}")).is_err(), "{more}");
    }
    for more in [
        "metrics = '127.0.0.1:9464'",
        "metrics = '[::1]:9464'",
        &format!("metrics_from_network = true\n{out}"),
    ] {
        assert!(parse(&format!("{text}{more}")).is_ok(), "{more}");
    }
    assert!(parse(&text.replace("https", "http")).is_err());
}

#[test]
fn foreign_parameters_are_ignored() {
    assert_eq!(find(Some("configdir='sql:/nowhere' certPrefix=''")), find(None));
    assert_eq!(find(Some("config=/some/where.toml")), Some("/some/where.toml".into()));
}

/// The README's example is read as it stands, and names every option that there is.
#[test]
fn the_readme_shows_every_option() {
    let readme = include_str!("../../README.md");
    let blocks: String =
        readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(parse(&blocks).unwrap().slots[0].cluster.is_some());
    let mut options = 0;
    for place in ["", "[[slot]]\n", "[slot.seal]\n", "[slot.kdf]\n", "[slot.cluster]\n"] {
        let table = if place.starts_with("[slot.") { format!("[[slot]]\n{place}") } else { place.to_owned() };
        // What is not known is answered with all that is.
        let said = toml::from_str::<File>(&format!("{table}nonsense = 1")).err().unwrap().to_string();
        let known = said.split("expected").nth(1).unwrap();
        for option in known.split('`').skip(1).step_by(2) {
            let shown = [format!("{option} = "), format!("[slot.{option}]"), format!("[[{option}]]")];
            assert!(shown.iter().any(|shown| blocks.contains(shown)), "README has no {option} of {place:?}");
            options += 1;
        }
    }
    assert!(options > 25, "only {options} options seen");
}

#[test]
fn nothing_is_allowed_that_is_not_named() {
    let allow = |text: &str| parse(&format!("[[slot]]\n{text}")).map(|config| config.slots[0].allow);
    assert_eq!(allow("").unwrap(), Allowed::default());
    assert_eq!(allow("[slot.allow]\nwrap_stronger = false").unwrap(), Allowed::default());
    let two = allow("[slot.allow]\nloosening = true\nwrap_stronger = true").unwrap();
    assert!(two.has(Switch::WrapStronger) && two.has(Switch::Loosening) && !two.has(Switch::TripleDes));
    assert_eq!(two.names(), "wrap_stronger loosening");
    assert_eq!(allow("[slot.allow]\neverything = true").err(), Some(Error::ArgumentsBad));
}
