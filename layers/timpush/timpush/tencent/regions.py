"""The API hosts: one for each site of Tencent Chat."""

HOSTS = {
    "china": "console.tim.qq.com",
    "singapore": "adminapisgp.im.qcloud.com",
    "seoul": "adminapikr.im.qcloud.com",
    "tokyo": "adminapijpn.im.qcloud.com",
    "frankfurt": "adminapiger.im.qcloud.com",
    "silicon-valley": "adminapiusa.im.qcloud.com",
    "jakarta": "adminapiidn.im.qcloud.com",
}
"""Region -> host of the REST API.

Source: https://www.tencentcloud.com/zh/document/product/1047/67822 (2025-10-23).
"""
