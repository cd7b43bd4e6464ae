;; f32.neg of an arithmetic NaN keeps its sign: the NaN is made canonical after the neg
;; Found by `weavegate fuzz --engine wasmer/singlepass`.
(module (func (export "run") (result i32)
  (i32.xor (i32.reinterpret_f32 (f32.neg (f32.div (f32.const 0) (f32.const 0))))
           (i32.reinterpret_f32 (f32.div (f32.const 0) (f32.const 0))))))
