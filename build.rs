//! Linker flags of the shared library: bind its own symbols, stay mapped after dlclose, run nothing
//! at exit.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ffi/no-destructors.ld");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={script}");
    for flag in ["-Wl,-Bsymbolic", "-Wl,-z,nodelete", "-Wl,-z,now", "-Wl,-z,relro"] {
        println!("cargo:rustc-cdylib-link-arg={flag}");
    }
    println!("cargo:rustc-cdylib-link-arg=-Wl,-T,{script}");
}
