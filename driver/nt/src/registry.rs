//! Registry keys.
use nt_sys::ntdef::{
    HANDLE, OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, STATUS_BUFFER_OVERFLOW,
    STATUS_BUFFER_TOO_SMALL, STATUS_OBJECT_NAME_NOT_FOUND,
};
use nt_sys::zw::{self, KEY_VALUE_PARTIAL_INFORMATION};

use crate::{Passive, PoolSlice, Result, Status, Tag, WideString};

/// Octets of a value's data at most, but for a REG_MULTI_SZ.
const DATA_BYTES_MAX: usize = 1024;
/// Octets of a REG_MULTI_SZ at most.
const MULTI_BYTES_MAX: usize = 16 * 1024;

/// Why a value could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueError {
    /// It has another type than asked for.
    Type,
    /// Its data is longer than 1,024 octets (16 KiB for several strings), or
    /// malformed for its type.
    Data,
    /// The registry said no.
    Failed(Status),
}

/// An open key. K1: opened as a kernel handle, closed once. K2: every call at PASSIVE_LEVEL.
/// K3: type and length of a value are checked before its octets are read.
pub struct RegistryKey(HANDLE);

#[repr(C, align(8))]
struct Information {
    octets: [u8; size_of::<KEY_VALUE_PARTIAL_INFORMATION>() + DATA_BYTES_MAX],
}

/// The strings of a REG_MULTI_SZ.
pub struct MultiString(PoolSlice<u16>);

impl MultiString {
    /// Each string's code units, in order; an empty one ends them, as the registry has it.
    pub fn iter(&self) -> impl Iterator<Item = &[u16]> {
        self.0.split(|unit| *unit == 0).take_while(|string| !string.is_empty())
    }
}

/// Offset of the data in a KEY_VALUE_PARTIAL_INFORMATION.
const DATA_AT: usize = core::mem::offset_of!(KEY_VALUE_PARTIAL_INFORMATION, Data);

impl RegistryKey {
    /// Opens a key for reading; `None` when it does not exist.
    ///
    /// # Errors
    /// What `ZwOpenKey` returned.
    pub fn open(_passive: &Passive, path: &mut WideString) -> Result<Option<RegistryKey>> {
        let mut name = path.counted();
        let mut attributes = object_attributes(&mut name);
        let mut key = core::ptr::null_mut();
        // SAFETY: K2; all three pointers are valid for the call.
        let status = unsafe { zw::ZwOpenKey(&raw mut key, zw::KEY_READ, &raw mut attributes) };
        if status == STATUS_OBJECT_NAME_NOT_FOUND {
            return Ok(None);
        }
        Status::check(status)?;
        Ok(Some(RegistryKey(key)))
    }

    /// A REG_DWORD; `None` when there is no such value.
    ///
    /// # Errors
    /// [`ValueError`].
    pub fn dword(
        &self,
        passive: &Passive,
        name: &str,
    ) -> core::result::Result<Option<u32>, ValueError> {
        self.query(passive, name, zw::REG_DWORD, |data| {
            data.try_into().map(u32::from_le_bytes).map_err(|_| ValueError::Data)
        })
    }

    /// A REG_SZ without its terminator; `None` when there is no such value.
    ///
    /// # Errors
    /// [`ValueError`]; strings of more than 260 code units are `Data`.
    pub fn string(
        &self,
        passive: &Passive,
        name: &str,
    ) -> core::result::Result<Option<WideString>, ValueError> {
        self.query(passive, name, zw::REG_SZ, |data| {
            let mut text = WideString::default();
            for unit in data.chunks_exact(2) {
                let unit = u16::from_le_bytes([unit[0], unit[1]]);
                if unit == 0 {
                    break;
                }
                if !text.push(unit) {
                    return Err(ValueError::Data);
                }
            }
            Ok(text)
        })
    }

    /// A REG_MULTI_SZ; `None` when there is no such value.
    ///
    /// # Errors
    /// [`ValueError`].
    pub fn multi_string(
        &self,
        passive: &Passive,
        name: &str,
    ) -> core::result::Result<Option<MultiString>, ValueError> {
        let octets = size_of::<KEY_VALUE_PARTIAL_INFORMATION>() + MULTI_BYTES_MAX;
        let buffer = PoolSlice::from_fn(Tag::Object, octets, |_| 0);
        let mut buffer = buffer.map_err(ValueError::Failed)?;
        self.query_into(passive, name, zw::REG_MULTI_SZ, &mut buffer, |data| {
            let (units, rest) = data.as_chunks::<2>();
            if !rest.is_empty() {
                return Err(ValueError::Data);
            }
            let unit = |at: usize| units.get(at).map_or(0, |unit| u16::from_le_bytes(*unit));
            PoolSlice::from_fn(Tag::Object, units.len(), unit)
                .map(MultiString)
                .map_err(ValueError::Failed)
        })
    }

    fn query<T>(
        &self,
        passive: &Passive,
        name: &str,
        kind: u32,
        decode: impl FnOnce(&[u8]) -> core::result::Result<T, ValueError>,
    ) -> core::result::Result<Option<T>, ValueError> {
        let mut information = Information { octets: [0; _] };
        self.query_into(passive, name, kind, &mut information.octets, decode)
    }

    /// `buffer` is aligned to 4 octets.
    fn query_into<T>(
        &self,
        _passive: &Passive,
        name: &str,
        kind: u32,
        buffer: &mut [u8],
        decode: impl FnOnce(&[u8]) -> core::result::Result<T, ValueError>,
    ) -> core::result::Result<Option<T>, ValueError> {
        let mut name = WideString::new(name).ok_or(ValueError::Data)?;
        let mut name = name.counted();
        let mut needed = 0;
        // SAFETY: K1, K2; the buffer has the size that is said.
        let status = unsafe {
            zw::ZwQueryValueKey(
                self.0,
                &raw mut name,
                zw::KeyValuePartialInformation,
                buffer.as_mut_ptr().cast(),
                u32::try_from(buffer.len()).unwrap_or(0),
                &raw mut needed,
            )
        };
        match status {
            STATUS_OBJECT_NAME_NOT_FOUND => return Ok(None),
            STATUS_BUFFER_OVERFLOW | STATUS_BUFFER_TOO_SMALL => return Err(ValueError::Data),
            _ => Status::check(status).map_err(ValueError::Failed)?,
        }
        let word = |at: usize| {
            let octets = buffer.get(at..at + 4).unwrap_or_default();
            octets.try_into().map_or(0, u32::from_le_bytes)
        };
        if word(4) != kind {
            return Err(ValueError::Type);
        }
        let length = word(8) as usize;
        let data = buffer.get(DATA_AT..DATA_AT + length).ok_or(ValueError::Data)?;
        decode(data).map(Some)
    }
}

impl Drop for RegistryKey {
    fn drop(&mut self) {
        // SAFETY: K1; keys live only in the driver's entry, at PASSIVE_LEVEL (K2).
        let _ = unsafe { zw::ZwClose(self.0) };
    }
}

/// Attributes of a kernel handle to `name`, case-insensitive.
pub(crate) fn object_attributes(name: &mut nt_sys::ntdef::UNICODE_STRING) -> OBJECT_ATTRIBUTES {
    OBJECT_ATTRIBUTES {
        Length: 48,
        RootDirectory: core::ptr::null_mut(),
        ObjectName: name,
        Attributes: OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE,
        SecurityDescriptor: core::ptr::null_mut(),
        SecurityQualityOfService: core::ptr::null_mut(),
    }
}
