//! Where keys come from.
//!
//! [`mod@env`] reads the process's environment, or any other lookup of names, by the
//! convention of `.env` files: `X_NEW`, `X`, `X_OLD`, `X_BACKUP`, `X_NEXT`.

pub mod env;
