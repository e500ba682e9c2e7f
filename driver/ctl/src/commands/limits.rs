//! `limits`: the parameters in force.
use anyhow::Result;
use serde_json::{Value, json};
use wskhttpd_abi::Parameter;

use crate::driver::Driver;
use crate::output;

/// Its defaults are those of the driver, as a test of the driver's says.
const INF: &str = include_str!("../../../../inf/wskhttpd.inx");

/// Asks and tells.
pub(crate) fn run(driver: &Driver, json: bool) -> Result<()> {
    let parameters = driver.parameters()?;
    if json {
        return Ok(output::json(&parameters.iter().map(to_json).collect())?);
    }
    let rows = parameters.iter().map(|parameter| {
        let default = default(&parameter.name).unwrap_or("?");
        let change = if parameter.is_changeable { "at once" } else { "by a restart" };
        let mark = if default == &parameter.value[..] { "" } else { "*" };
        let [name, value] = [parameter.name.to_string(), parameter.value.to_string()];
        vec![name, value, mark.to_owned(), default.to_owned(), change.to_owned()]
    });
    let head = ["parameter", "value", "", "default", "changes"];
    Ok(output::text(&output::table(&head, &[], rows.collect()))?)
}

fn to_json(parameter: &Parameter) -> Value {
    json!({
        "name": &parameter.name[..],
        "value": &parameter.value[..],
        "default": default(&parameter.name),
        "is_changeable": parameter.is_changeable,
    })
}

/// What the driver takes where the registry has no value of this name.
fn default(name: &str) -> Option<&'static str> {
    let values = INF.lines().filter_map(|line| line.strip_prefix("HKR, Parameters,"));
    let mut values = values.map(|value| value.splitn(3, ',').map(str::trim).collect::<Vec<_>>());
    values.find_map(|value| match value[..] {
        [found, _, value] if found == name => Some(value.trim_matches('"')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::default;

    #[test]
    fn defaults_are_found_whatever_their_type() {
        assert_eq!(default("MaxConnections"), Some("65536"));
        assert_eq!(default("AcceptMode"), Some("conditional"));
        assert_eq!(default("ListenAddress"), Some("::"));
        assert_eq!(default("DenyList"), Some(""));
        assert_eq!(default("MaxConnection"), None);
    }
}
