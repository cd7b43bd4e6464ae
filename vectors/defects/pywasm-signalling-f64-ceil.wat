;; f64.ceil gives back a signalling NaN, where a result is quiet
;; Found by `python -m benchmarks.operators`.
(module (func (export "run") (result i64)
  (i64.and (i64.reinterpret_f64 (f64.ceil (f64.const nan:0x1))) (i64.const 0x0008000000000000))))
