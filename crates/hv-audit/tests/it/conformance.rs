//! What every engine must do alike.

use crate::sim::SimDisk;
use crate::trail::{DIR, entropy, options, work};
use hv_audit::{
    Blake3, CompactRange, Expect, FileLog, Kind, Log, LogError, Lsn, MemoryLog, StreamNo, Transcript,
};
use hv_types::{Digest, Illegal, Timestamp};
use std::path::Path;

fn memory() -> MemoryLog {
    MemoryLog::started(Timestamp(1), entropy()).unwrap()
}

fn file() -> FileLog {
    FileLog::create(Path::new(DIR), Timestamp(1), options(&SimDisk::default(), 1000)).unwrap()
}

fn engines() -> [Box<dyn Log>; 2] {
    [Box::new(memory()), Box::new(file())]
}

/// Everything a reader sees, as text.
fn dump(log: &dyn Log) -> Vec<String> {
    let mut seen = vec![];
    log.replay(&mut |entry| {
        seen.push(format!("{entry:?}"));
        Ok(())
    })
    .unwrap();
    seen
}

fn push(log: &dyn Log, stream: StreamNo, body: &[u8]) -> Result<Lsn, LogError> {
    log.append(&[], Timestamp(5), &mut |batch| batch.push(stream, &[], |out| out.extend(body)).map(drop))
}

fn open(log: &dyn Log) -> StreamNo {
    let mut opened = StreamNo::NODE;
    log.append(&[], Timestamp(5), &mut |batch| {
        opened = batch.genesis("session:x", |body| body.push(1))?.0;
        Ok(())
    })
    .unwrap();
    opened
}

#[test]
fn both_engines_hold_the_same_records_for_the_same_work() {
    let [memory, file] = engines();
    assert_eq!(work(&*memory, 10), work(&*file, 10));
    let heads = |log: &dyn Log| (0..4).map(|n| log.head(StreamNo(n))).collect::<Vec<_>>();
    assert_eq!(heads(&*memory), heads(&*file));
    // A payload that nobody refers to is accounted for at the end.
    memory.put_payload(b"loose").unwrap();
    file.put_payload(b"loose").unwrap();
    assert_eq!(memory.seal(Timestamp(99)), file.seal(Timestamp(99)));
    let (a, b) = (dump(&*memory), dump(&*file));
    assert_eq!(a, b);
    assert!(a.len() > 50);
}

#[test]
fn a_batch_is_appended_as_a_whole_or_not_at_all() {
    for log in engines() {
        let stream = open(&*log);
        let state = || (dump(&*log), log.head(StreamNo::NODE), log.head(stream), log.head(StreamNo(3)));
        let before = state();
        let full = |batch: &mut hv_audit::Batch<'_>| {
            batch.push(stream, &[], |body| body.push(1))?;
            batch.genesis("session:y", |body| body.push(1))?;
            batch.close(stream)?;
            Ok(())
        };
        type Fill<'a> = &'a mut dyn FnMut(&mut hv_audit::Batch<'_>) -> Result<(), LogError>;
        let given_up: Fill<'_> = &mut |batch| full(batch).and(Err(LogError::Abandoned));
        let unknown: Fill<'_> = &mut |batch| {
            full(batch)?;
            // The answer is ignored, the batch is not.
            let _ = batch.push(StreamNo(77), &[], |_| {});
            Ok(())
        };
        let closed: Fill<'_> = &mut |batch| {
            full(batch)?;
            batch.push(stream, &[], |_| {}).map(drop)
        };
        let never: Fill<'_> = &mut |batch| full(batch).and(batch.close(StreamNo::LEDGER).map(drop));
        let large: Fill<'_> = &mut |batch| {
            full(batch)?;
            batch.push(StreamNo::LEDGER, &[], |body| body.resize(hv_audit::BATCH_MAX_BYTES, 0)).map(drop)
        };
        let label: Fill<'_> = &mut |batch| full(batch).and(batch.genesis(&"x".repeat(257), |_| {}).map(drop));
        let nothing: Fill<'_> = &mut |_| Ok(());
        for (fill, error) in [
            (given_up, LogError::Abandoned),
            (unknown, LogError::Unknown { stream: StreamNo(77) }),
            (closed, LogError::Closed { stream }),
            (never, LogError::NeverCloses { stream: StreamNo::LEDGER }),
            (large, LogError::TooLarge),
            (label, LogError::LabelTooLong { bytes: 257 }),
            (nothing, LogError::Empty),
        ] {
            assert_eq!(log.append(&[], Timestamp(9), fill), Err(error));
            assert_eq!(state(), before);
        }
        // The time and the numbers of what was given up are given again.
        let mut time = Timestamp(0);
        let _ = log.append(&[], Timestamp(6), &mut |batch| {
            time = batch.time();
            Err(LogError::Abandoned)
        });
        assert_eq!(time, Timestamp(6));
        assert_eq!(push(&*log, stream, b"x"), Ok(Lsn(3)));
        assert_eq!(open(&*log), StreamNo(3));
    }
}

#[test]
fn expectations_hold_for_every_stream_named() {
    for log in engines() {
        let stream = open(&*log);
        let length = |stream| log.head(stream).unwrap().length;
        let node = Expect { stream: StreamNo::NODE, length: length(StreamNo::NODE) };
        let own = Expect { stream, length: 1 };
        let try_with = |expect: &[Expect]| {
            log.append(expect, Timestamp(7), &mut |batch| batch.push(stream, &[], |b| b.push(1)).map(drop))
        };
        for (at, found) in [(0, 1), (2, 1), (u64::MAX, 1)] {
            let stale = Expect { stream, length: at };
            assert_eq!(try_with(&[node, stale]), Err(LogError::Stale { stream, expected: at, found }));
        }
        assert_eq!(
            try_with(&[Expect { stream: StreamNo(9), length: 0 }]),
            Err(LogError::Unknown { stream: StreamNo(9) })
        );
        assert!(try_with(&[node, own, Expect { stream: StreamNo::LEDGER, length: 0 }]).is_ok());
        assert_eq!(try_with(&[own]), Err(LogError::Stale { stream, expected: 1, found: 2 }));
    }
}

#[test]
fn close_holds_the_root_over_all_before_it_and_nothing_follows() {
    for log in engines() {
        let stream = open(&*log);
        for n in 0..5 {
            push(&*log, stream, &[n]).unwrap();
        }
        let before = log.head(stream).unwrap();
        let mut root = Digest::default();
        log.append(&[], Timestamp(6), &mut |batch| {
            batch.push(stream, &[], |body| body.push(9))?;
            let head = batch.head(stream).unwrap();
            root = batch.close_with(stream, |body| body.extend_from_slice(b"last"))?;
            assert_eq!((head.length, head.root), (before.length + 1, root));
            assert_eq!(batch.head(stream), None);
            Ok(())
        })
        .unwrap();
        assert_eq!(push(&*log, stream, b"x"), Err(LogError::Closed { stream }));
        assert_eq!(log.head(stream), None);
        assert_eq!(
            log.append(&[Expect { stream, length: 8 }], Timestamp(6), &mut |_| Ok(())),
            Err(LogError::Closed { stream })
        );

        let leaves = log.leaves(stream).unwrap();
        assert_eq!(leaves.len(), 8);
        let mut range = CompactRange::<Blake3>::new();
        leaves[..7].iter().for_each(|leaf| range.push(*leaf));
        assert_eq!(range.root(), root);
        let (mut closes, mut commits) = (0, 0);
        log.replay(&mut |entry| {
            match entry.kind {
                Kind::Close { size, root: stated } => {
                    assert_eq!((entry.stream, entry.seq, size, stated), (stream, 7, 7, root));
                    assert_eq!(entry.body, b"last");
                    closes += 1;
                }
                Kind::StreamClosed { stream: of, size, root: stated, close } => {
                    assert_eq!((of, size, stated, close), (stream, 7, root, leaves[7]));
                    assert_eq!(entry.stream, StreamNo::NODE);
                    commits += 1;
                }
                _ => {}
            }
            Ok(())
        })
        .unwrap();
        assert_eq!((closes, commits), (1, 1));
    }
}

#[test]
fn heads_are_those_of_the_records_at_every_length() {
    for log in engines() {
        let stream = open(&*log);
        let mut range = CompactRange::<Blake3>::new();
        log.leaves(stream).unwrap().into_iter().for_each(|leaf| range.push(leaf));
        for n in 0..200u8 {
            let mut leaf = Digest::default();
            log.append(&[], Timestamp(7), &mut |batch| {
                leaf = batch.push(stream, &[], |body| body.push(n))?;
                Ok(())
            })
            .unwrap();
            range.push(leaf);
            // Asked now and then, so that the tree is brought up to date at different lengths.
            if n % 7 == 0 || n > 190 {
                let head = log.head(stream).unwrap();
                assert_eq!((head.length, head.tip, head.root), (u64::from(n) + 2, leaf, range.root()));
            }
        }
    }
}

#[test]
fn records_come_back_in_order_and_time_does_not_run_backwards() {
    for log in engines() {
        let stream = open(&*log);
        for (n, now) in [10, 30, 20, 40].into_iter().enumerate() {
            log.append(&[], Timestamp(now), &mut |batch| {
                assert_eq!(
                    (batch.lsn(), batch.time()),
                    (Lsn(n as u64 + 3), Timestamp(now.max([0, 10, 30, 30][n])))
                );
                batch.push(stream, &[], |body| body.push(1))?;
                batch.push(StreamNo::LEDGER, &[], |body| body.push(2)).map(drop)
            })
            .unwrap();
        }
        let (mut last, mut lsns) = (Timestamp(0), vec![]);
        log.replay(&mut |entry| {
            assert!(entry.time >= last);
            last = entry.time;
            lsns.push(entry.lsn.0);
            Ok(())
        })
        .unwrap();
        assert_eq!((last, lsns), (Timestamp(40), vec![1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]));
    }
}

/// Failure 24, `INVARIANT (A4)`: records that differ in anything have different bytes, so different hashes.
#[test]
fn a4_no_two_records_share_a_hash() {
    for log in engines() {
        let mut hashes = vec![];
        let (a, b) = (open(&*log), open(&*log));
        for stream in [StreamNo::NODE, StreamNo::LEDGER, a, b] {
            for body in [&b""[..], b"|", b"||", b"a|b", b"a||b", b"\0"] {
                log.append(&[], Timestamp(8), &mut |batch| {
                    hashes.push(batch.push(stream, &[], |out| out.extend(body))?);
                    hashes.push(batch.push(stream, &[], |out| out.extend(body))?);
                    Ok(())
                })
                .unwrap();
            }
        }
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }
    // The same content with the same numbers, as record 0 of two streams.
    let log = MemoryLog::new();
    let mut pair = [Digest::default(); 2];
    log.append(&[], Timestamp(1), &mut |batch| {
        pair = [batch.push(StreamNo::NODE, &[], |_| {})?, batch.push(StreamNo::LEDGER, &[], |_| {})?];
        Ok(())
    })
    .unwrap();
    assert_ne!(pair[0], pair[1]);
}

#[test]
fn a_reader_may_refuse_a_record() {
    for log in engines() {
        let stream = open(&*log);
        push(&*log, stream, b"odd").unwrap();
        let rule = Illegal::new("nothing is odd");
        let read = log.replay(&mut |entry| if entry.body == b"odd" { Err(rule) } else { Ok(()) });
        assert_eq!(read, Err(LogError::Illegal { lsn: Lsn(3), stream, seq: 1, cause: rule }));
    }
}

#[test]
fn payloads_come_back_and_are_named_by_a_key_of_their_own() {
    for log in engines() {
        let (a, b) = (log.put_payload(b"same").unwrap(), log.put_payload(b"same").unwrap());
        assert_ne!(a.id(), b.id(), "equal contents have different names");
        assert_eq!((a.length(), log.payload(&a.id()).unwrap().as_deref()), (4, Some(&b"same"[..])));
        assert_eq!(log.payload(&Digest([9; 32])), Ok(None));
        log.append(&[], Timestamp(5), &mut |batch| {
            batch.push(StreamNo::LEDGER, &[a, b], |body| body.push(1)).map(drop)
        })
        .unwrap();
        let mut seen = vec![];
        log.replay(&mut |entry| {
            seen.extend(entry.attachments);
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [a, b]);
    }
}

#[test]
fn a_body_can_reach_nothing_but_itself() {
    for log in engines() {
        let stream = open(&*log);
        push(&*log, stream, b"before").unwrap();
        log.append(&[], Timestamp(5), &mut |batch| {
            batch.push(stream, &[], |body| {
                body.extend(b"much");
                body.clear();
            })?;
            batch.push(stream, &[], |body| *body = b"replaced".to_vec()).map(drop)
        })
        .unwrap();
        let mut bodies = vec![];
        log.replay(&mut |entry| {
            bodies.push(entry.body.to_vec());
            Ok(())
        })
        .unwrap();
        assert_eq!(bodies[bodies.len() - 3..], [b"before".to_vec(), b"".to_vec(), b"replaced".to_vec()]);
    }
}

#[test]
fn a_memory_log_without_a_beginning_is_read_too() {
    let log = MemoryLog::new();
    assert_eq!(log.replay(&mut |_| Ok(())), Ok(Lsn(0)));
    work(&log, 10).unwrap();
    assert!(dump(&log).len() > 50);
}

/// Given the same randomness, every engine gives the same checkpoint and the same proofs.
#[test]
fn transcripts_of_all_engines_are_alike() {
    let read = engines().map(|log| {
        work(&*log, 10).unwrap();
        log.seal(Timestamp(100)).unwrap();
        let read = Transcript::of(&*log, &mut |_| true).unwrap();
        let size = read.size();
        let proofs: Vec<_> = [(0, 1), (1, 0), (2, 3), (3, 0)]
            .map(|(stream, seq)| read.delta(StreamNo(stream), seq, size).unwrap())
            .into_iter()
            .collect();
        (
            read.origin(),
            read.checkpoint("log", size).unwrap(),
            read.reach(size),
            read.prints(size, None),
            proofs,
        )
    });
    assert_eq!(read[0], read[1]);
    assert!(read[0].4.iter().all(|proof| proof.node_leaf().is_ok()));
}
