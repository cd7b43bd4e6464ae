;; f64.max of -0 and 0 is -0, where it is 0
;; Found by `python -m benchmarks.operators`.
(module (func (export "run") (result i64)
  (i64.reinterpret_f64 (f64.max (f64.const -0) (f64.const 0)))))
