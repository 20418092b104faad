//! Step 7: policy.

use std::borrow::Cow;
use std::sync::Arc;

use super::{AdmittedEnvelope, CallFacts, Refusal};
use crate::error::{Error, ErrorKind, Result};
use crate::policy::{
    self, Decision, MethodClass, RateAnswer, RateKey, RateLimit, SecurityContext, ToolCall, ToolPattern,
};
use crate::session::Session;
use crate::smcp::Call;

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
        return Err(
            admitted.refuse(Error::new(ErrorKind::ScopeNotFound, "the call was admitted without a security context"))
        );
    };
    let class = policy::policy_target(&admitted.call().method());
    match class {
        MethodClass::Gateway | MethodClass::ToolList => Ok(AuthorizedCall { admitted, class, context, decision: None }),
        MethodClass::NotAllowed => {
            let error = Error::new(ErrorKind::MethodNotAllowed, "the gateway does not serve this method");
            Err(admitted.refuse(error))
        }
        MethodClass::ToolCall | MethodClass::AsTool(_) => {
            let claims = admitted.claims();
            match decide_call(&admitted.call(), &context, &claims.workload_id, narrowing(&admitted), charge) {
                Err(error) => Err(admitted.refuse(error)),
                Ok(decision) => match decision.violation() {
                    None => Ok(AuthorizedCall { admitted, class, context, decision: Some(decision) }),
                    Some(error) => {
                        let mut refusal = admitted.refuse(error.clone());
                        refusal.facts.decision = Some(decision);
                        Err(refusal)
                    }
                },
            }
        }
    }
}

/// Asks the policy about a tool call, or about a method that is evaluated as a tool of its name.
///
/// # Errors
/// `OVERLOADED` when the rate store has no room or fails.
pub fn decide_call(
    call: &Call<'_>,
    context: &SecurityContext,
    workload_id: &str,
    narrowing: Option<&[ToolPattern]>,
    charge: &mut dyn FnMut(&RateKey, RateLimit) -> Result<RateAnswer>,
) -> Result<Decision> {
    let method = call.method();
    let tool = match policy::policy_target(&method) {
        MethodClass::AsTool(name) => Cow::Borrowed(name),
        MethodClass::ToolCall | MethodClass::ToolList | MethodClass::Gateway | MethodClass::NotAllowed => call.tool(),
    };
    let target = ToolCall { tool: &tool, arguments: call.arguments() };
    policy::decide(context, &target, narrowing, &mut |capability, limit| {
        let key = RateKey { workload_id: workload_id.to_owned(), context: context.name.to_string(), capability };
        charge(&key, limit)
    })
}

fn narrowing<'s>(admitted: &'s AdmittedEnvelope<'_>) -> Option<&'s [ToolPattern]> {
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
