;; f64.nearest of -0.5 is 0, where it is -0
;; Found by `python -m benchmarks.operators`.
(module (func (export "run") (result i64)
  (i64.reinterpret_f64 (f64.nearest (f64.const -0.5)))))
