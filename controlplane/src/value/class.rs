//! Which rules hold for an account.

/// Which rules hold for an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The operator's own: no throttles, any domain name.
    Operator,
    /// A tenant: throttles, name policy and limits.
    Hosting,
}

impl Class {
    /// As it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Operator => "operator",
            Class::Hosting => "hosting",
        }
    }

    /// Reads what [`Class::as_str`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Class> {
        [Class::Operator, Class::Hosting].into_iter().find(|class| class.as_str() == text)
    }
}
