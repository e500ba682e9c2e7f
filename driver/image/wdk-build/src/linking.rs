//! What wdk-sys tells rustc to link.
use std::env;

use crate::{ApiSubset, Config, ConfigError};

impl Config {
    /// Lines that wdk-sys puts before its functions: which library has them.
    pub fn bindgen_library_link_raw_lines(&self, subset: ApiSubset) -> Option<String> {
        (subset == ApiSubset::Base).then(|| {
            "#[link(name = \"ntoskrnl\", kind = \"static\", modifiers = \"-bundle\")]\n\
             unsafe extern \"C\" {}\n"
                .to_owned()
        })
    }

    /// The symbol of a framework's table; there is no framework.
    pub fn compute_wdffunctions_symbol_name(&self) -> Option<String> {
        None
    }

    /// Tells rustc which driver models there could be.
    pub fn emit_check_cfg_settings() {
        println!(
            "cargo::rustc-check-cfg=\
             cfg(driver_model__driver_type, values(\"WDM\", \"KMDF\", \"UMDF\"))"
        );
    }

    /// Configures a library: the driver model, and the folder of the import library, which
    /// `WDK_IMPORT_LIBRARY` names.
    ///
    /// # Errors
    /// None; the signature is wdk-build's.
    pub fn configure_library_build(&self) -> Result<(), ConfigError> {
        Config::emit_check_cfg_settings();
        println!("cargo::rustc-cfg=driver_model__driver_type=\"WDM\"");
        println!("cargo::rerun-if-env-changed=WDK_IMPORT_LIBRARY");
        if let Ok(folder) = env::var("WDK_IMPORT_LIBRARY") {
            println!("cargo::rustc-link-search={folder}");
        }
        Ok(())
    }
}
