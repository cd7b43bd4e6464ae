;; a 32-bit shift is folded into a 64-bit address (CVE-2023-26489)
;; Found and shrunk by `weavegate fuzz --seed 1 --first 11 --modules 1 --engine wasmtime@6.0.0 --engine wasmtime@50.0.1`.
(module
  (type (;0;) (func (param i32 i32 i64 i64) (result i64)))
  (table (;0;) 6 funcref)
  (memory (;0;) 1 1)
  (global (;0;) (mut i32) i32.const 0)
  (global (;1;) (mut i64) i64.const 0)
  (global (;2;) (mut f32) f32.const 0x0.0p+0)
  (global (;3;) (mut f64) f64.const 0x0.0p+0)
  (global (;4;) (mut i32) i32.const 200)
  (export "run" (func 0))
  (export "memory" (memory 0))
  (export "i32" (global 0))
  (export "i64" (global 1))
  (export "f32" (global 2))
  (export "f64" (global 3))
  (elem (;0;) (offset i32.const 0) func)
  (func (;0;) (type 0) (param i32 i32 i64 i64) (result i64) ;; run
    (local f32) (local f64 f64)
    local.get 0
    f32.reinterpret_i32
    local.set 4
    local.get 2
    f64.reinterpret_i64
    local.set 5
    local.get 3
    f64.reinterpret_i64
    local.set 6
    local.get 0
    i32.extend8_s
    i32.const -2147479553
    i32.and
    i32.const 1
    i32.shl
    f64.load align=1
    f64.abs
    global.set 3
    local.get 2
  )
  (data (;0;) (offset i32.const 1024)
    "\00\00\00\00\00\00\00\00"
  )
  (data (;1;) (offset i32.const 65528)
    "ABCDEF\80\ff"
  )
)
