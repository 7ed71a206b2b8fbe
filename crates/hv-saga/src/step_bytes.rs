//! The bytes of steps: only what is not as usual, and what the step before does not say too.

use crate::Retry;
use crate::definition::{Idempotence, Join, StepDef, USUAL_TIMEOUT};
use hv_types::wire::{Bytes, Reader, put_varint};
use hv_types::{Undecodable, Wire};
use std::sync::Arc;

/// The undo is written.
const UNDO: u64 = 1 << 0;
/// The undo is the very task that is executed.
const UNDONE_BY_THE_SAME: u64 = 1 << 1;

/// Writes and reads a step by the bits that tell what is written of it: what is not `same` as in the step before, what
/// is `there`, and what is `unusual`. What need not be written is refused where it is, so that a step has one encoding.
macro_rules! step_bytes {
    (
        does $execute:ident
        same { $($like:literal $same:ident),* }
        there { $($bit:literal $there:ident),* }
        unusual { $($mark:literal $field:ident: $usual:expr),* }
    ) => {
        /// What bits there are.
        const KNOWN: u64 = UNDO | UNDONE_BY_THE_SAME $(| 1 << $like)* $(| 1 << $bit)* $(| 1 << $mark)*;

        impl StepDef {
            /// Appends the bytes of the step as they stand behind those of the step before, where there is one.
            pub(crate) fn put_behind(&self, before: Option<&Self>, out: &mut Bytes) {
                let Self { id, kind, undo, $($same,)* $($there,)* $($field),* } = self;
                let mut said = match undo {
                    None => 0,
                    Some(undo) if *undo == *$execute => UNDONE_BY_THE_SAME,
                    Some(_) => UNDO,
                };
                if let Some(before) = before {
                    $(said |= u64::from(*$same == before.$same) << $like;)*
                }
                $(said |= u64::from($there.is_some()) << $bit;)*
                $(said |= u64::from(*$field != $usual) << $mark;)*
                id.put(out);
                kind.put(out);
                put_varint(said, out);
                $(if said >> $like & 1 == 0 { $same.put(out); })*
                if let Some(undo) = undo && said & UNDO != 0 {
                    undo.put(out);
                }
                $(if let Some(there) = $there { there.put(out); })*
                $(if said >> $mark & 1 == 1 { $field.put(out); })*
            }

            /// Reads what [`put_behind`](Self::put_behind) wrote behind this step.
            pub(crate) fn take_behind(
                before: Option<&Self>,
                reader: &mut Reader<'_>,
            ) -> Result<Self, Undecodable> {
                let (id, kind, said) = (Wire::take(reader)?, Wire::take(reader)?, reader.varint()?);
                let twice = UNDO | UNDONE_BY_THE_SAME;
                if said & !KNOWN != 0 || said & twice == twice {
                    return Err(reader.invalid("step"));
                }
                $(let $same = match before {
                    Some(before) if said >> $like & 1 == 1 => before.$same.clone(),
                    _ if said >> $like & 1 == 1 => return Err(reader.invalid("step")),
                    _ => {
                        let own = Wire::take(reader)?;
                        if before.is_some_and(|before| before.$same == own) {
                            return Err(reader.invalid("step"));
                        }
                        own
                    }
                };)*
                let undo = if said & UNDO != 0 {
                    let undo = Wire::take(reader)?;
                    if undo == $execute {
                        return Err(reader.invalid("step"));
                    }
                    Some(undo)
                } else {
                    (said & UNDONE_BY_THE_SAME != 0).then(|| Arc::clone(&$execute))
                };
                $(let $there = if said >> $bit & 1 == 1 { Some(Wire::take(reader)?) } else { None };)*
                $(let mut $field = $usual;
                if said >> $mark & 1 == 1 {
                    $field = Wire::take(reader)?;
                    if $field == $usual {
                        return Err(reader.invalid("step"));
                    }
                })*
                Ok(Self { id, kind, undo, $($same,)* $($there,)* $($field),* })
            }
        }
    };
}

step_bytes!(
    does execute
    same { 2 agent, 3 action, 4 execute }
    there { 6 probe, 11 undo_window, 12 substitute, 15 settles, 16 within, 17 start_within }
    unusual {
        5 after: Vec::new(),
        7 join: Join::All,
        8 idempotent: Idempotence::None,
        9 timeout: USUAL_TIMEOUT,
        10 retry: Retry::NONE,
        13 undo_timeout: USUAL_TIMEOUT,
        14 undo_retry: Retry::NONE
    }
);

/// A step by itself, behind no other.
impl Wire for StepDef {
    fn put(&self, out: &mut Bytes) {
        self.put_behind(None, out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        Self::take_behind(None, reader)
    }
}
