//! The plan for a batch of rows: the values to write, and the count of all others.
//!
//! A plan is data: no value is written before the plan of its batch is complete.

use super::error::RewrapJobError;
use super::job::{Mode, RewrapJob};
use super::report::{Tally, Unreadable};
use super::row::{Column, ConditionalWrite, Row, Value};
use crate::envelope::{RewrapError, RewrapOptions, Sealer};
use crate::error::Reason;
use crate::kid::Kid;

/// A row, and the places of those of its columns whose values are to be under the primary.
pub(super) struct Selection {
    pub(super) row: Row,
    pub(super) columns: Vec<usize>,
}

/// The plan for a batch of rows.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) writes: Vec<PlannedWrite>,
    /// The values that are not written.
    pub(super) tally: Tally,
}

/// A value to write.
pub(super) struct PlannedWrite {
    pub(super) conditional: ConditionalWrite,
    /// The key that the value is under until it is written.
    pub(super) from: Kid,
    /// The key that it is under then.
    pub(super) to: Kid,
}

/// The plan for one value.
enum ValuePlan {
    /// There is no value.
    Skip,
    /// The value is under the key that it should be under.
    Keep {
        kid: Kid,
    },
    /// A run that writes would seal the value again.
    Count {
        kid: Kid,
    },
    Write(PlannedWrite),
    /// The value cannot be read.
    Report(Unreadable),
}

impl Plan {
    fn add(&mut self, plan: ValuePlan) {
        match plan {
            ValuePlan::Skip => self.tally.counts.empty += 1,
            ValuePlan::Keep { kid } => self.tally.add_current(kid),
            ValuePlan::Count { kid } => self.tally.add_rewritten(kid),
            ValuePlan::Write(write) => self.writes.push(write),
            ValuePlan::Report(value) => self.tally.add_unreadable(value),
        }
    }
}

impl RewrapJob {
    /// Opens the selected values, and plans what to do with each.
    pub(super) fn plan(&self, rows: &[Selection]) -> Result<Plan, RewrapJobError> {
        let mut plan = Plan::default();
        for Selection { row, columns } in rows {
            for &place in columns {
                // A store that has fewer values than columns has no value there.
                let value = row.values.get(place).unwrap_or(&Value::Null);
                plan.add(self.plan_value(row, place, value, self.mode)?);
            }
        }
        Ok(plan)
    }

    /// Fails if a value of `row` needs more room than its column has.
    pub(super) fn check_lengths(&self, row: &Row) -> Result<(), RewrapJobError> {
        for (place, (column, value)) in self.rows.columns().iter().zip(&row.values).enumerate() {
            if column.max_bytes.is_some() {
                // Any other problem is found when the row is rewrapped.
                self.plan_value(row, place, value, Mode::DryRun)?;
            }
        }
        Ok(())
    }

    /// Opens the value of the column at `place`, and plans what to do with it.
    fn plan_value(
        &self,
        row: &Row,
        place: usize,
        value: &Value,
        mode: Mode,
    ) -> Result<ValuePlan, RewrapJobError> {
        let column = &self.rows.columns()[place];
        let stored = match value {
            Value::TooLarge => return Ok(self.report(row, column, Reason::TooLarge, None)),
            value => value.as_bytes().unwrap_or_default(),
        };
        if stored.is_empty() {
            return Ok(ValuePlan::Skip);
        }
        let context = (self.context)(&row.key, &column.name);
        let is_text = matches!(value, Value::Text(_));
        let options = RewrapOptions { is_dry_run: mode == Mode::DryRun, is_text, ..self.options };
        let rewrapped = match self.sealer.rewrap_stored(stored, &context, options) {
            Ok(rewrapped) => rewrapped,
            Err(RewrapError::Open(error)) => {
                let kid = Sealer::kid_of(stored);
                return Ok(self.report(row, column, error.reason(), kid));
            }
            Err(RewrapError::Seal(error)) => return Err(error.into()),
        };
        if let Some(needed) = rewrapped.length {
            self.check_room(row, column, needed)?;
        }
        let (from, to) = (rewrapped.from, rewrapped.to);
        Ok(match (rewrapped.value, rewrapped.length) {
            (Some(bytes), _) => {
                let (key, old, new) = (row.key.clone(), value.clone(), build_value(value, bytes));
                let conditional = ConditionalWrite { key, column: place, old, new };
                ValuePlan::Write(PlannedWrite { conditional, from, to })
            }
            (None, Some(_)) => ValuePlan::Count { kid: from },
            (None, None) => ValuePlan::Keep { kid: from },
        })
    }

    fn check_room(&self, row: &Row, column: &Column, needed: usize) -> Result<(), RewrapJobError> {
        match column.max_bytes {
            Some(max_bytes) if needed > max_bytes => Err(RewrapJobError::TooShort {
                table: self.rows.name().to_owned(),
                column: column.name.clone(),
                key: row.key.clone(),
                max_bytes,
                needed,
            }),
            _ => Ok(()),
        }
    }

    fn report(&self, row: &Row, column: &Column, reason: Reason, kid: Option<Kid>) -> ValuePlan {
        ValuePlan::Report(Unreadable {
            table: self.rows.name().to_owned(),
            key: row.key.clone(),
            column: column.name.clone(),
            reason,
            kid,
        })
    }
}

/// Returns the value to store in the place of `old`: a text only if that is one.
fn build_value(old: &Value, bytes: Vec<u8>) -> Value {
    match (old, String::from_utf8(bytes)) {
        (Value::Text(_), Ok(text)) => Value::Text(text),
        (_, Ok(text)) => Value::Bytes(text.into_bytes()),
        (_, Err(error)) => Value::Bytes(error.into_bytes()),
    }
}
