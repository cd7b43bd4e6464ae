;; f32.convert_i64_s rounds twice, by way of f64
;; Found by `python -m benchmarks.operators`.
(module (func (export "run") (result i32)
  (i32.reinterpret_f32 (f32.convert_i64_s (i64.const 0x7fffff4000000001)))))
