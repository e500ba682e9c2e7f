//! Parameters of the running driver.
use crate::text::{Name, Sentence};
use crate::wire::{Reader, Record, Writer};

/// Changes one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetParameter {
    /// Value name, as in the registry.
    pub name: Name,
    /// A decimal number, a word, or prefixes of addresses with commas between.
    pub value: Sentence,
}

impl Record for SetParameter {
    fn put(&self, out: &mut Writer<'_>) {
        self.name.put(out);
        self.value.put(out);
    }

    fn take(input: &mut Reader<'_>) -> Option<SetParameter> {
        Some(SetParameter { name: Record::take(input)?, value: Record::take(input)? })
    }
}

/// One, as it is in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parameter {
    /// Value name, as in the registry.
    pub name: Name,
    /// As [`SetParameter`] takes it; lists are cut at 512 octets.
    pub value: Sentence,
    /// It can be changed while the driver runs.
    pub is_changeable: bool,
}

impl Record for Parameter {
    fn put(&self, out: &mut Writer<'_>) {
        self.name.put(out);
        self.value.put(out);
        out.u8(self.is_changeable.into());
    }

    fn take(input: &mut Reader<'_>) -> Option<Parameter> {
        Some(Parameter {
            name: Record::take(input)?,
            value: Record::take(input)?,
            is_changeable: input.u8()? != 0,
        })
    }
}
