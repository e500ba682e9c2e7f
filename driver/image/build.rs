//! How the image is linked: on Windows as wdk-build says, elsewhere with the same arguments.

use std::env;

/// Arguments of wdk-build 0.6.0 for a WDM driver, those that lld knows.
#[cfg(not(windows))]
const ARGUMENTS: [&str; 10] = [
    "/DRIVER",
    "/NODEFAULTLIB",
    "/SUBSYSTEM:NATIVE",
    "/KERNEL",
    "/ENTRY:DriverEntry",
    "/NXCOMPAT",
    "/DYNAMICBASE",
    "/OPT:REF,ICF",
    "/INTEGRITYCHECK",
    "/MANIFEST:NO",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_CFG_WINDOWS").is_none() {
        return;
    }
    #[cfg(windows)]
    wdk_build::configure_wdk_binary_build().expect("the WDK is installed");
    #[cfg(not(windows))]
    for argument in ARGUMENTS {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
    // The symbols' name without the folder they were made in.
    println!("cargo::rustc-cdylib-link-arg=/PDBALTPATH:wskhttpd.pdb");
    // Writes the checksum, which wdk-build leaves out.
    println!("cargo::rustc-cdylib-link-arg=/RELEASE");
}
