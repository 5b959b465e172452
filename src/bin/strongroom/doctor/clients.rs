//! Where programs are told to load the module: p11-kit, OpenSSL, OpenSSH, Java, NSS.

use super::Finding;
use std::path::{Path, PathBuf};

const NAME: &str = "strongroom";

pub fn all() -> Vec<Finding> {
    vec![p11_kit(), openssl(), openssh(), java(), nss()]
}

fn home(rest: &str) -> Option<PathBuf> {
    std::env::var_os("HOME").map(|home| Path::new(&home).join(rest))
}

/// The files of a folder, and what they say.
fn texts(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), std::fs::read_to_string(entry.path()).ok()?))).collect()
}

/// The paths of modules of ours that a configuration names.
fn modules_named(text: &str) -> Vec<PathBuf> {
    let separators = |c: char| c.is_whitespace() || "=\"',;".contains(c);
    let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words = code.flat_map(|line| line.split(separators).collect::<Vec<_>>());
    words.filter(|word| word.contains(NAME) && word.ends_with(".so")).map(PathBuf::from).collect()
}

/// What to say of files that may name the module.
fn told(check: &str, files: Vec<(PathBuf, String)>, how: &str) -> Finding {
    let mut named = files.into_iter().map(|(path, text)| (path, modules_named(&text)));
    let Some((path, modules)) = named.find(|(_, modules)| !modules.is_empty()) else {
        return Finding::none(check, format!("not set up ({how})"));
    };
    // A bare name is looked for in the program's own folders.
    match modules.iter().find(|module| module.is_absolute() && !module.is_file()) {
        Some(missing) => Finding::wrong(
            check,
            format!("{} names {}, which is not there", path.display(), missing.display()),
            "Correct the path.",
        ),
        None => Finding::ok(check, path.display().to_string()),
    }
}

fn read(path: PathBuf) -> Option<(PathBuf, String)> {
    let text = std::fs::read_to_string(&path).ok()?;
    Some((path, text))
}

fn p11_kit() -> Finding {
    let folders = [
        home(".config/pkcs11/modules"),
        Some("/etc/pkcs11/modules".into()),
        Some("/usr/share/p11-kit/modules".into()),
    ];
    let files = folders.into_iter().flatten().flat_map(|folder| texts(&folder)).collect();
    told("p11-kit", files, "a file strongroom.module in ~/.config/pkcs11/modules; examples/isolated")
}

fn openssl() -> Finding {
    let named = std::env::var_os("OPENSSL_CONF").map(PathBuf::from);
    let files = [named, Some("/etc/ssl/openssl.cnf".into())].into_iter().flatten().filter_map(read).collect();
    told("OpenSSL", files, "OPENSSL_CONF names a configuration; examples/openssl")
}

fn openssh() -> Finding {
    let files = [home(".ssh/config"), Some("/etc/ssh/ssh_config".into())];
    told(
        "OpenSSH",
        files.into_iter().flatten().filter_map(read).collect(),
        "PKCS11Provider; examples/openssh",
    )
}

fn java() -> Finding {
    let named = std::env::var_os("JAVA_HOME").map(|folder| Path::new(&folder).join("conf/security"));
    let mut folders: Vec<PathBuf> = named.into_iter().collect();
    let installed = std::fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten();
    folders.extend(installed.map(|entry| entry.path().join("conf/security")));
    // java.security names a file, and that file names the module.
    let mut files = Vec::new();
    for folder in folders {
        let Some((_, text)) = read(folder.join("java.security")) else { continue };
        let providers = text.lines().filter(|line| line.trim_start().starts_with("security.provider."));
        let configurations =
            providers.filter_map(|line| line.split_once("SunPKCS11")).map(|(_, path)| path.trim());
        files.extend(configurations.filter(|path| !path.is_empty()).filter_map(|path| read(path.into())));
    }
    told(
        "Java",
        files,
        "security.provider.N = SunPKCS11 FILE in java.security, or -addprovider; examples/java",
    )
}

fn nss() -> Finding {
    let mut folders: Vec<PathBuf> = home(".pki/nssdb").into_iter().collect();
    let profiles = home(".mozilla/firefox").and_then(|folder| std::fs::read_dir(folder).ok());
    folders.extend(profiles.into_iter().flatten().flatten().map(|entry| entry.path()));
    let files = folders.into_iter().filter_map(|folder| read(folder.join("pkcs11.txt"))).collect();
    told("Firefox, NSS", files, "modutil -add, or Security Devices; examples/nss")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_in_every_kind_of_configuration() {
        let path = "/opt/lib/libstrongroom.so";
        for text in [
            format!("module: {path}\n"),
            format!("MODULE_PATH = {path}\n"),
            format!("library=\"{path}\"\nname=Strongroom"),
            format!("    PKCS11Provider {path}"),
        ] {
            assert_eq!(modules_named(&text), [PathBuf::from(path)], "{text}");
        }
        assert!(modules_named(&format!("# module: {path}")).is_empty());
        assert!(modules_named("module: /usr/lib/softhsm/libsofthsm2.so").is_empty());
    }
}
