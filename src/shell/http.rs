//! What every HTTP client of the service has in common.

/// A builder of clients that speak to `base` and to nobody else: redirects are not followed.
///
/// Certificates of the machine are read for an `https` address only. Reading them takes longer
/// than a whole request to a neighbour, and a client that goes nowhere else never needs them.
pub fn builder(base: &str) -> reqwest::ClientBuilder {
    // The library wants a TLS provider before it builds any client; a second call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("signalbox/", env!("CARGO_PKG_VERSION")));
    match base.get(..8) {
        Some(scheme) if scheme.eq_ignore_ascii_case("https://") => builder,
        _ => builder.tls_certs_only([]),
    }
}
