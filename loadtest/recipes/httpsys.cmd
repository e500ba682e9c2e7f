@rem http.sys with the response in its kernel cache: httpsys.cmd [PORT], elevated, on Windows.
@rem Not yet run there. Build first: cargo build --release -p httpsys-baseline
@setlocal
@set port=%1
@if "%port%"=="" set port=8081
@"%~dp0..\..\target\release\httpsys-baseline.exe" http://+:%port%/hello.txt
