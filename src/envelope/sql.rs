//! `Sealed<T>` as `sqlx` reads and writes it: ciphertext, without a key.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::{Database, Decode, Encode, Type, ValueRef};

use super::column::{Sealed, Stored};

/// The same of each database, but for the type that is told before there is a value.
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
                    Stored::Text(text) => Encode::<$database>::encode_by_ref(text, into),
                    Stored::Bytes(bytes) => Encode::<$database>::encode_by_ref(bytes, into),
                }
            }
        }

        impl<'r, T> Decode<'r, $database> for Sealed<T> {
            fn decode(value: <$database as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
                let is_text = <String as Type<$database>>::compatible(&value.type_info());
                Ok(match is_text {
                    true => Self::from_stored_text(<String as Decode<$database>>::decode(value)?),
                    false => {
                        Self::from_stored_bytes(<Vec<u8> as Decode<$database>>::decode(value)?)
                    }
                })
            }
        }
    };
}

#[cfg(feature = "sqlx-sqlite")]
column!(sqlx::Sqlite, <String as Type<sqlx::Sqlite>>::type_info());

// `unknown`, by the number that it has in `pg_type`: the server takes the type of the column,
// so that NULL goes into both. A text and bytes look the same on the wire.
#[cfg(feature = "sqlx-postgres")]
column!(sqlx::Postgres, sqlx::postgres::PgTypeInfo::with_oid(sqlx::postgres::types::Oid(705)));
