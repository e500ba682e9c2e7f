//! How bindgen is set up.
use std::borrow::Borrow;
use std::fmt;

use crate::{Config, ConfigError};

/// Functions that wdk-build leaves out because they are deprecated.
const DEPRECATED: [&str; 4] = [
    "ExAllocatePool",
    "ExAllocatePoolWithTag",
    "ExAllocatePoolWithQuotaTag",
    "ExAllocatePoolWithTagPriority",
];

/// Makes a bindgen builder for kernel headers.
pub trait BuilderExt {
    /// A builder with the settings of wdk-build.
    ///
    /// # Errors
    /// Headers are missing.
    fn wdk_default(
        config: impl Borrow<Config> + fmt::Debug,
    ) -> Result<bindgen::Builder, ConfigError>;
}

impl BuilderExt for bindgen::Builder {
    fn wdk_default(
        config: impl Borrow<Config> + fmt::Debug,
    ) -> Result<bindgen::Builder, ConfigError> {
        let config = config.borrow();
        let folders = config.include_paths()?;
        let folders = folders.map(|folder| format!("--include-directory={}", folder.display()));
        let macros = config.preprocessor_definitions().map(|(name, value)| match value {
            Some(value) => format!("--define-macro={name}={value}"),
            None => format!("--define-macro={name}"),
        });
        let mut builder = bindgen::Builder::default()
            .use_core()
            .derive_default(true)
            .generate_cstr(true)
            .detect_include_paths(false)
            // Microsoft's layout, but GNU's attributes, without which mingw's headers lose theirs.
            .clang_args(["--target=x86_64-pc-windows-msvc", "-fms-extensions"])
            .clang_args(["-fno-ms-compatibility", "-fno-builtin", "-nostdinc", "-w"])
            .clang_args(folders)
            .clang_args(macros)
            .must_use_type("NTSTATUS")
            .must_use_type("HRESULT")
            .default_enum_style(bindgen::EnumVariation::ModuleConsts)
            .parse_callbacks(Box::new(bindgen::CargoCallbacks::new()))
            .formatter(bindgen::Formatter::Prettyplease)
            .rust_edition(bindgen::RustEdition::Edition2024);
        for name in ["_KGDTENTRY64", "_KIDTENTRY64"] {
            builder = builder.opaque_type(name);
        }
        for name in DEPRECATED {
            builder = builder.blocklist_item(name);
        }
        Ok(builder)
    }
}
