//! What must not compile, with the reason that the compiler gives.

#[test]
fn c1_a_grant_cannot_be_forged_and_no_executor_runs_without_one() {
    trybuild::TestCases::new().compile_fail("it/forgery/*.rs");
}
