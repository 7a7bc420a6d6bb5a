//! What must not compile, each with a twin that differs in the one thing and does.

/// A ring of one purpose is not a ring of another.
///
/// ```
/// fn takes(ring: dualkey::KeyRing<dualkey::cookie::CookieKey>) {
///     let _ = dualkey::cookie::CookieSigner::new(ring);
/// }
/// ```
///
/// ```compile_fail,E0308
/// fn takes(ring: dualkey::KeyRing<dualkey::jwt::JwtKey>) {
///     let _ = dualkey::cookie::CookieSigner::new(ring);
/// }
/// ```
///
/// ```
/// fn takes(ring: dualkey::KeyRing<dualkey::jwt::JwtKey>) {
///     let _ = dualkey::jwt::Jwt::new(ring);
/// }
/// ```
///
/// ```compile_fail,E0308
/// fn takes(ring: dualkey::KeyRing<dualkey::webhook::WebhookKey>) {
///     let _ = dualkey::jwt::Jwt::new(ring);
/// }
/// ```
///
/// ```
/// use dualkey::webhook::{WebhookVerifier, VerifyToken, WebhookKey};
/// fn takes(ring: dualkey::KeyRing<WebhookKey>, tokens: dualkey::KeyRing<VerifyToken>) {
///     let _ = WebhookVerifier::new(ring).verify_tokens(tokens);
/// }
/// ```
///
/// ```compile_fail,E0308
/// use dualkey::webhook::{WebhookVerifier, VerifyToken, WebhookKey};
/// fn takes(ring: dualkey::KeyRing<WebhookKey>, tokens: dualkey::KeyRing<VerifyToken>) {
///     let _ = WebhookVerifier::new(tokens).verify_tokens(ring);
/// }
/// ```
///
/// ```
/// fn takes(ring: dualkey::KeyRing<dualkey::envelope::AesKey>) {
///     let _ = dualkey::envelope::Sealer::new(ring);
/// }
/// ```
///
/// ```compile_fail,E0308
/// fn takes(ring: dualkey::KeyRing<dualkey::cookie::CookieKey>) {
///     let _ = dualkey::envelope::Sealer::new(ring);
/// }
/// ```
#[allow(dead_code)]
struct RingsDoNotMix;

/// A key of one purpose does not get into a ring of another.
///
/// ```
/// use dualkey::{KeyRing, NewKey, jwt::JwtKey};
/// fn stages(ring: KeyRing<JwtKey>, key: NewKey<JwtKey>) {
///     let _ = ring.stage(key);
/// }
/// ```
///
/// ```compile_fail,E0277
/// use dualkey::{KeyRing, NewKey, cookie::CookieKey, jwt::JwtKey};
/// fn stages(ring: KeyRing<JwtKey>, key: NewKey<CookieKey>) {
///     let _ = ring.stage(key);
/// }
/// ```
#[allow(dead_code)]
struct KeysDoNotMix;

/// Only a verifier makes a verified value, and there is no way to make one of another.
///
/// ```
/// fn takes(value: dualkey::Verified<String>) -> String {
///     value.into_inner()
/// }
/// ```
///
/// ```compile_fail,E0308
/// fn takes(value: String) -> dualkey::Verified<String> {
///     value
/// }
/// ```
///
/// ```compile_fail,E0624
/// fn takes(value: dualkey::Verified<String>) -> dualkey::Verified<usize> {
///     value.map(|value| value.len())
/// }
/// ```
#[allow(dead_code)]
struct VerifiedIsMadeHere;

/// What is opened under a revoked key is not verified.
///
/// ```
/// use dualkey::{Verified, VerifyError, envelope::Sealer};
/// fn opens(sealer: &Sealer, stored: &[u8]) -> Result<Verified<Vec<u8>>, VerifyError> {
///     sealer.open(stored, "context")
/// }
/// ```
///
/// ```compile_fail,E0308
/// use dualkey::{Verified, VerifyError, envelope::Sealer};
/// fn opens(sealer: &Sealer, stored: &[u8]) -> Result<Verified<Vec<u8>>, VerifyError> {
///     sealer.dangerous().open_revoked(stored, "context")
/// }
/// ```
#[allow(dead_code)]
struct RescuedIsNotVerified;

/// A secret does not print, does not compare, and is read by one name only.
///
/// ```
/// fn length(secret: &dualkey::Secret) -> usize {
///     secret.expose().len()
/// }
/// ```
///
/// ```compile_fail,E0599
/// fn length(secret: &dualkey::Secret) -> usize {
///     secret.len()
/// }
/// ```
///
/// ```compile_fail,E0277
/// fn text(secret: &dualkey::Secret) -> String {
///     format!("{secret}")
/// }
/// ```
///
/// ```compile_fail,E0369
/// fn same(one: &dualkey::Secret, other: &dualkey::Secret) -> bool {
///     one == other
/// }
/// ```
///
/// ```compile_fail,E0277
/// fn json(secret: &dualkey::Secret) -> serde_json::Result<String> {
///     serde_json::to_string(secret)
/// }
/// ```
#[allow(dead_code)]
struct SecretsStayInside;

/// Keys are of the purposes of this crate: the trait is sealed.
///
/// ```compile_fail
/// struct Mine;
/// impl dualkey::KeyMaterial for Mine {}
/// ```
///
/// ```
/// fn any<K: dualkey::KeyMaterial>(ring: dualkey::KeyRing<K>) -> String {
///     ring.name().to_owned()
/// }
/// ```
#[allow(dead_code)]
struct PurposesAreSealed;
