;; i64.div_u traps when the quotient is 2^63 or more
;; Found by `python -m benchmarks.operators`.
(module (func (export "run") (result i64)
  (i64.div_u (i64.const -1) (i64.const 1))))
