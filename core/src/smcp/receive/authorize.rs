//! Step 7: policy.

use std::sync::Arc;

use super::{AdmittedEnvelope, CallFacts, Refusal};
use crate::error::{Error, ErrorKind, Result};
use crate::policy::{self, Decision, MethodClass, RateAnswer, RateKey, RateLimit, SecurityContext, ToolCall};
use crate::session::Session;

/// A call that its context allows. Only here the payload is handed on.
#[derive(Debug)]
pub struct AuthorizedCall<'a> {
    admitted: AdmittedEnvelope<'a>,
    class: MethodClass,
    context: Arc<SecurityContext>,
    decision: Option<Decision>,
}

/// Evaluates the call against the session's context; `charge` asks the rate store.
///
/// # Errors
/// A policy violation, `METHOD_NOT_ALLOWED`, or `OVERLOADED` when the rate store has no room.
pub fn authorize<'a>(
    admitted: AdmittedEnvelope<'a>,
    charge: &mut dyn FnMut(&RateKey, RateLimit) -> Result<RateAnswer>,
) -> std::result::Result<AuthorizedCall<'a>, Refusal> {
    let Some(context) = admitted.verified.context.clone() else {
        return Err(admitted.refuse(Error::new(ErrorKind::ScopeNotFound, "the call was admitted without a security context")));
    };
    let class = policy::method_class(&admitted.call().method());
    match class {
        MethodClass::Gateway | MethodClass::ListTools => Ok(AuthorizedCall { admitted, class, context, decision: None }),
        MethodClass::Unsupported => {
            let error = Error::new(ErrorKind::MethodNotAllowed, "the gateway does not serve this method");
            Err(admitted.refuse(error))
        }
        MethodClass::Tool | MethodClass::Method(_) => match decide(&admitted, class, &context, charge) {
            Err(error) => Err(admitted.refuse(error)),
            Ok(decision) => match decision.violation() {
                None => Ok(AuthorizedCall { admitted, class, context, decision: Some(decision) }),
                Some(error) => {
                    let mut refusal = admitted.refuse(error.clone());
                    refusal.facts.decision = Some(decision);
                    Err(refusal)
                }
            },
        },
    }
}

fn decide(
    admitted: &AdmittedEnvelope<'_>,
    class: MethodClass,
    context: &SecurityContext,
    charge: &mut dyn FnMut(&RateKey, RateLimit) -> Result<RateAnswer>,
) -> Result<Decision> {
    let call = admitted.call();
    let tool = match class {
        MethodClass::Method(name) => std::borrow::Cow::Borrowed(name),
        MethodClass::Tool | MethodClass::Gateway | MethodClass::ListTools | MethodClass::Unsupported => call.tool(),
    };
    let target = ToolCall { tool: &tool, arguments: call.arguments() };
    let workload_id = &admitted.claims().workload_id;
    policy::decide(context, &target, narrowing(admitted), &mut |capability, limit| {
        let key = RateKey { workload_id: workload_id.clone(), context: context.name.clone(), capability };
        charge(&key, limit)
    })
}

fn narrowing<'s>(admitted: &'s AdmittedEnvelope<'_>) -> Option<&'s [policy::ToolPattern]> {
    admitted.verified.session.as_deref().and_then(Session::allowed_patterns)
}

impl<'a> AuthorizedCall<'a> {
    /// The admitted envelope: call, claims, verified bytes.
    #[must_use]
    pub fn admitted(&self) -> &AdmittedEnvelope<'a> {
        &self.admitted
    }

    /// Who answers the method.
    #[must_use]
    pub fn class(&self) -> MethodClass {
        self.class
    }

    /// The context that decided.
    #[must_use]
    pub fn context(&self) -> &Arc<SecurityContext> {
        &self.context
    }

    /// The decision; `None` for methods that the gateway answers itself.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        self.decision.as_ref()
    }

    /// Whether the session's context lists a tool of this name (section 5, `tools/list`).
    #[must_use]
    pub fn lists_tool(&self, tool: &str) -> bool {
        policy::lists_tool(&self.context, narrowing(&self.admitted), tool)
    }

    /// What the audit may say of the call.
    #[must_use]
    pub fn facts(&self) -> CallFacts {
        CallFacts { decision: self.decision.clone(), ..self.admitted.facts() }
    }
}
