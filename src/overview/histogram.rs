//! Seconds in buckets, and what Prometheus would say of them.
use crate::telemetry::RUN_SECONDS;

/// The number of the bucket of so many seconds; the last one has no end.
pub(crate) fn bucket(seconds: f64) -> usize {
    RUN_SECONDS.partition_point(|end| *end < seconds)
}

/// What `histogram_quantile` says of the counts of the buckets: the share `q` of all took no longer than this, where a
/// bucket's are thought to be spread evenly over it. `None` where there are none.
pub(crate) fn quantile(q: f64, counts: &[i64]) -> Option<f64> {
    let all: i64 = counts.iter().sum();
    if all == 0 {
        return None;
    }
    let rank = q * all as f64;
    let mut below = 0_i64;
    for (number, count) in counts.iter().enumerate() {
        if (below + count) as f64 >= rank && *count > 0 {
            let start = number.checked_sub(1).and_then(|before| RUN_SECONDS.get(before));
            let start = start.copied().unwrap_or(0.0);
            let Some(end) = RUN_SECONDS.get(number) else {
                return Some(start);
            };
            return Some(start + (end - start) * (rank - below as f64) / *count as f64);
        }
        below += count;
    }
    RUN_SECONDS.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_prometheus() {
        let mut counts = vec![0; RUN_SECONDS.len() + 1];
        assert_eq!(quantile(0.5, &counts), None);
        for seconds in [0.04, 0.06, 0.07, 0.3] {
            counts[bucket(seconds)] += 1;
        }
        // Half of four are two: one in the first bucket, one of the two from 0.05 to 0.1.
        let p50 = quantile(0.5, &counts).expect("there are some");
        assert!((p50 - 0.075).abs() < 1e-9, "{p50}");
        let p99 = quantile(0.99, &counts).expect("there are some");
        assert!((p99 - (0.25 + 0.25 * 0.96)).abs() < 1e-9, "{p99}");
        counts[bucket(1e9)] += 1000;
        assert_eq!(quantile(0.99, &counts), Some(86400.0));
        assert_eq!((bucket(0.05), bucket(0.0501)), (0, 1));
    }
}
