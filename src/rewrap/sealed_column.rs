//! `Sealed<T>` as a column of `sqlx`: ciphertext that is read and written without a key.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::{Database, Decode, Encode, Type, ValueRef};

use crate::envelope::{ColumnValue, Sealed};

/// Implements the traits for a database, whose type information is `$info` before there is a value.
macro_rules! column {
    ($database:ty, $info:expr) => {
        /// A column of text or of bytes.
        impl<T> Type<$database> for Sealed<T> {
            fn type_info() -> <$database as Database>::TypeInfo {
                $info
            }

            fn compatible(info: &<$database as Database>::TypeInfo) -> bool {
                <String as Type<$database>>::compatible(info)
                    || <Vec<u8> as Type<$database>>::compatible(info)
            }
        }

        impl<T> Encode<'_, $database> for Sealed<T> {
            fn encode_by_ref(
                &self,
                into: &mut <$database as Database>::ArgumentBuffer,
            ) -> Result<IsNull, BoxDynError> {
                match self.stored() {
                    ColumnValue::Text(text) => Encode::<$database>::encode_by_ref(text, into),
                    ColumnValue::Bytes(bytes) => Encode::<$database>::encode_by_ref(bytes, into),
                }
            }
        }

        impl<'r, T> Decode<'r, $database> for Sealed<T> {
            fn decode(value: <$database as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
                if <String as Type<$database>>::compatible(&value.type_info()) {
                    let text = <String as Decode<$database>>::decode(value)?;
                    Ok(Self::from_stored_text(text))
                } else {
                    let bytes = <Vec<u8> as Decode<$database>>::decode(value)?;
                    Ok(Self::from_stored_bytes(bytes))
                }
            }
        }
    };
}

#[cfg(feature = "rewrap-sqlite")]
column!(sqlx::Sqlite, <String as Type<sqlx::Sqlite>>::type_info());

// `unknown`, by the number that it has in `pg_type`: the server takes the type of the column,
// so that NULL goes into both. A text and bytes look the same on the wire.
#[cfg(feature = "rewrap-postgres")]
column!(sqlx::Postgres, sqlx::postgres::PgTypeInfo::with_oid(sqlx::postgres::types::Oid(705)));
