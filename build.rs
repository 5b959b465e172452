//! Linker flags of the shared library: bind its own symbols, stay mapped after dlclose.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for flag in ["-Wl,-Bsymbolic", "-Wl,-z,nodelete", "-Wl,-z,now", "-Wl,-z,relro"] {
        println!("cargo:rustc-cdylib-link-arg={flag}");
    }
}
